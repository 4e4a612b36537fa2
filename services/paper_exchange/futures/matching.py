"""Placing and cancelling ordinary orders. Pure.

MARKET orders fill at once and wholly at the current price; LIMIT orders rest until the price reaches them.
Source of the rules: developers.binance.com, USDⓈ-M Futures, "New Order", "Cancel Order", "Error Code".
"""

from decimal import Decimal

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import events
from services.paper_exchange.futures.fills import end_order, fill
from services.paper_exchange.futures.margin import initial, is_hedge_close, margins, opens
from services.paper_exchange.futures.model import ZERO, Account, Market, Order
from services.paper_exchange.futures.rules import check_notional, check_percent_price, read_order
from services.paper_exchange.futures.symbols import OPEN_ORDERS_MAX, SYMBOLS, TAKER_FEE
from services.paper_exchange.signing import Params, whole


def place(market: Market, account: Account, params: Params, now_ms: int) -> Order:
    """Accept a new order from its parameters and return it, filled where it fills; else Refused and nothing changed."""
    order = read_order(params, hedge_mode=account.hedge_mode, new_id=market.next_id(), now_ms=now_ms)
    namesake = account.order_by_client_id.get(order.client_id)
    # Only open orders hold their id: a filled MARKET order's id may be used again, and fills again.
    if namesake is not None and namesake.status == "NEW":
        raise Refused(-4116)
    symbol, mark = SYMBOLS[order.symbol], market.prices[order.symbol]
    check_percent_price(symbol, order, mark)
    if not (order.reduce_only or is_hedge_close(order)):
        check_notional(symbol, order, mark)
    admit(market, account, order)
    return execute(market, account, order, now_ms)


def admit(market: Market, account: Account, order: Order) -> None:
    """Let the account afford a well-formed order, or refuse: -2022, -2027, -2019, -5022, -5021, -2025.

    A reduce-only order is cut to what is left to reduce; nothing else changes.
    """
    crosses = _crosses(market, order)
    _check_reduction(account, order)
    _check_margin(market, account, order, market.prices[order.symbol] if crosses else order.price)
    if order.time_in_force == "GTX" and crosses:
        raise Refused(-5022)
    if order.time_in_force == "FOK" and not crosses:
        raise Refused(-5021)
    if not crosses and sum(other.symbol == order.symbol for other in account.open_orders.values()) >= OPEN_ORDERS_MAX:
        raise Refused(-2025)


def execute(market: Market, account: Account, order: Order, now_ms: int) -> Order:
    """Enter an admitted order into the book: it fills at the current price, rests, or (IOC) expires."""
    account.orders[order.id] = account.order_by_client_id[order.client_id] = order
    if _crosses(market, order):
        fill(market, account, order, market.prices[order.symbol], now_ms)
        return order
    events.order_update(account, order, "NEW", now_ms)
    if order.time_in_force == "IOC":
        end_order(account, order, "EXPIRED", now_ms, "2")
        return order
    account.open_orders[order.id] = order
    market.watch(order.symbol, account)
    return order


def find(account: Account, params: Params, symbol: str) -> Order:
    """The order named by orderId or origClientOrderId; Refused(-2013), or Refused(-1102) where neither is sent."""
    if params.get("orderId"):
        order = account.orders.get(whole(params, "orderId"))
    elif params.get("origClientOrderId"):
        order = account.order_by_client_id.get(params["origClientOrderId"])
    else:
        raise Refused(-1102, "orderId")
    if order is None or order.symbol != symbol:
        raise Refused(-2013)
    return order


def cancel(account: Account, params: Params, symbol: str, now_ms: int) -> Order:
    """Cancel an open order; Refused(-2011) where it is not open."""
    try:
        order = find(account, params, symbol)
    except Refused as refusal:
        raise Refused(-2011 if refusal.code == -2013 else refusal.code, "orderId") from None
    if order.status != "NEW":
        raise Refused(-2011)
    end_order(account, order, "CANCELED", now_ms)
    return order


def cancel_all(account: Account, symbol: str, now_ms: int) -> None:
    """Cancel every open ordinary order of a symbol; conditional orders stay."""
    for order in [order for order in account.open_orders.values() if order.symbol == symbol]:
        end_order(account, order, "CANCELED", now_ms)


def _crosses(market: Market, order: Order) -> bool:
    """Whether an order meets the market at once."""
    mark = market.prices[order.symbol]
    return order.type == "MARKET" or (order.price >= mark if order.side == "BUY" else order.price <= mark)


def _check_reduction(account: Account, order: Order) -> None:
    """An order that may only reduce is cut to what is left to reduce, or Refused(-2022).

    Resting orders that will reduce the same position count first; in hedge mode nothing is cut: too much is refused.
    """
    if not (order.reduce_only or is_hedge_close(order)):
        return
    position = account.position(order.symbol, order.position_side)
    room = abs(position.amount)
    if not order.close_position:
        room -= sum((abs(o.signed) for o in account.open_orders.values() if _reduces_beside(o, order)), ZERO)
    if position.amount * order.signed >= 0 or room <= 0 or (account.hedge_mode and order.quantity > room):
        raise Refused(-2022)
    order.quantity = min(order.quantity, room)


def _reduces_beside(other: Order, order: Order) -> bool:
    """Whether a resting order reduces the same position as this one."""
    same = (other.symbol, other.position_side, other.side) == (order.symbol, order.position_side, order.side)
    return same and (other.reduce_only or is_hedge_close(other))


def _check_margin(market: Market, account: Account, order: Order, price: Decimal) -> None:
    """What an order opens must fit the bracket (-2027) and, with its fee, the available balance (-2019)."""
    position = account.position(order.symbol, order.position_side)
    opening = opens(position, order)
    if not opening:
        return
    leverage = account.leverage(order.symbol)
    result = abs(position.amount + order.signed) * price
    if result > SYMBOLS[order.symbol].max_notional(leverage):
        raise Refused(-2027)
    closing = abs(order.signed) - opening
    # The part that closes a position in passing sets that position's margin free.
    freed = initial(account, position, market.prices[order.symbol]) if closing else ZERO
    cost = opening * price / leverage + abs(order.signed) * price * TAKER_FEE
    if cost > margins(market, account).available + freed:
        raise Refused(-2019)
