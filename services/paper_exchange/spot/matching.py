"""Placing, triggering and cancelling spot orders. Pure.

MARKET orders fill at once and wholly at the current price, unless a thin book was set for them; limit orders rest until
the price reaches them; stops and take-profits wait for their stop price, then are what they become.
Source of the rules: binance-spot-api-docs, "New order", "Cancel order", errors.md.
"""

from decimal import Decimal

from services.paper_exchange.books import Book
from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import Params, whole
from services.paper_exchange.spot import events
from services.paper_exchange.spot.fills import close_list, end, expire_siblings, fill, siblings
from services.paper_exchange.spot.model import ALGO_TYPES, LIMIT_TYPES, Account, Market, Order
from services.paper_exchange.spot.rules import check_filters, check_room, check_status, choice, read_order
from services.paper_exchange.spot.symbols import QUOTE, SYMBOLS

TOO_LITTLE = "Order book liquidity is less than `LOT_SIZE` filter minimum quantity."
POOR = "Account has insufficient balance for requested action."
DUPLICATE = "Duplicate order sent."
WOULD_TRIGGER = "Order would trigger immediately."
WOULD_TAKE = "Order would immediately match and take."
NEITHER_SENT = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
RESTRICTED = "Order was not canceled due to cancel restrictions."
UNFILLED = {"IOC": "UNFILLED_IOC_QUANTITY_EXPIRED", "FOK": "UNFILLED_FOK_ORDER_EXPIRED"}
RESTRICTIONS = ("ONLY_NEW", "ONLY_PARTIALLY_FILLED")


def read(market: Market, params: Params, now_ms: int) -> Order:
    """A new order that parameters and filters let through, as order/test checks it; nothing is changed."""
    order = read_order(params, new_id=market.next_id(), now_ms=now_ms)
    check_status(market, order.symbol)
    price = market.prices[order.symbol]
    if order.quote_quantity:
        step = SYMBOLS[order.symbol].step
        order.quantity = order.quote_quantity / price // step * step
    check_filters(order, price)
    if not order.quantity:
        raise Refused(-2010, message=TOO_LITTLE)
    return order


def place(market: Market, account: Account, params: Params, now_ms: int) -> Order:
    """Accept a new order and return it, filled where it fills; else Refused and nothing changed."""
    order = read(market, params, now_ms)
    check_room(account, [order])
    check_client_id(account, order)
    price = market.prices[order.symbol]
    if order.is_waiting and order.is_reached(price):
        raise Refused(-2010, message=WOULD_TRIGGER)
    if order.type == "LIMIT_MAKER" and order.is_reached(price):
        raise Refused(-2010, message=WOULD_TAKE)
    if _need(order, price) > account.free(order.locks):
        raise Refused(-2010, message=POOR)
    enter(market, account, order, now_ms)
    if not order.is_waiting:
        _work(market, account, order, now_ms)
    events.account_position(account, order.symbol, now_ms)
    return order


def enter(market: Market, account: Account, order: Order, now_ms: int) -> None:
    """Book an admitted order; all but stops and take-profits work from now on."""
    account.orders[order.id] = account.open_orders[order.id] = order
    account.order_by_client_id[order.client_id] = order
    account.updated_ms = now_ms
    if order.type not in ALGO_TYPES:
        order.working_ms = now_ms
    events.execution(account, order, "NEW", now_ms)
    market.watch(order.symbol, account)


def trigger(market: Market, account: Account, order: Order, now_ms: int) -> None:
    """The price reached its stop price: it starts working, and the other order of its list expires."""
    order.working_ms = order.updated_ms = now_ms
    expire_siblings(account, order, now_ms)
    # A buy that the jump made dearer than what is left is refused by the book, as live.
    if _need(order, market.prices[order.symbol]) <= account.free(order.locks, but=order):
        events.execution(account, order, "NEW", now_ms)
        _work(market, account, order, now_ms)
        return
    end(account, order, "EXPIRED", now_ms, "REJECTED")
    close_list(account, order, now_ms)


def find(account: Account, params: Params, symbol: str) -> Order:
    """The order named by orderId, origClientOrderId, or both: -2013, -1102 where neither is sent, -2039."""
    client_id = params.get("origClientOrderId")
    if "orderId" in params:
        order = account.orders.get(whole(params, "orderId"))
    elif client_id:
        order = account.order_by_client_id.get(client_id)
    else:
        raise Refused(-1102, message=NEITHER_SENT)
    if order is None or order.symbol != symbol:
        raise Refused(-2013)
    if client_id and client_id != order.client_id:
        raise Refused(-2039)
    return order


def cancel(account: Account, params: Params, symbol: str, now_ms: int, cancel_id: str) -> Order:
    """Cancel an open order, and with it its list; Refused(-2011) where it is not open."""
    restriction = params.get("cancelRestrictions")
    if restriction:
        choice(restriction, RESTRICTIONS, -1145)
    try:
        order = find(account, params, symbol)
    except Refused as refusal:
        raise Refused(-2011) if refusal.code == -2013 else refusal from None
    if order.id not in account.open_orders:
        raise Refused(-2011)
    if restriction == "ONLY_PARTIALLY_FILLED":  # what is open here is never partly filled
        raise Refused(-2011, message=RESTRICTED)
    cancel_open(account, [order, *siblings(account, order)], now_ms, cancel_id)
    return order


def cancel_open(account: Account, orders: list[Order], now_ms: int, cancel_id: str) -> None:
    """Cancel those of these orders that are open, and end the lists that are left without any."""
    for order in orders:
        if order.id in account.open_orders:
            end(account, order, "CANCELED", now_ms, cancel_id=cancel_id)
    for order in orders:
        close_list(account, order, now_ms)
    for symbol in {order.symbol for order in orders}:
        events.account_position(account, symbol, now_ms)


def check_client_id(account: Account, order: Order) -> None:
    """Only open orders hold their id: a filled MARKET order's id may be used again, and fills again."""
    namesake = account.order_by_client_id.get(order.client_id)
    if namesake is not None and namesake.id in account.open_orders:
        raise Refused(-2010, message=DUPLICATE)


def _work(market: Market, account: Account, order: Order, now_ms: int) -> None:
    """Let an order that is on the book meet the market: it fills, rests, or (IOC, FOK) expires."""
    price = market.prices[order.symbol]
    book = market.books.find("spot", order.symbol, order.side, account.api_key)
    if order.type not in LIMIT_TYPES and book is not None:
        market.books.use(book)
        _fill_from(book, market, account, order, now_ms)
    elif order.type not in LIMIT_TYPES or order.is_reached(price):
        fill(market, account, order, price, now_ms)
    elif order.time_in_force != "GTC":
        end(account, order, "EXPIRED", now_ms, UNFILLED[order.time_in_force])
        close_list(account, order, now_ms)


def _fill_from(book: Book, market: Market, account: Account, order: Order, now_ms: int) -> None:
    """Fill a market order as its book says, as far as the money goes; the rest expires."""
    symbol = SYMBOLS[order.symbol]
    trades = book.trades(order.left, market.prices[order.symbol], order.side, symbol.step, symbol.tick)
    for price, quantity in trades:
        affordable = _budget(account, order) / price // symbol.step * symbol.step if order.side == "BUY" else quantity
        if affordable > 0:
            fill(market, account, order, price, now_ms, quantity=min(quantity, affordable))
    if order.left:
        end(account, order, "EXPIRED", now_ms, "INSUFFICIENT_LIQUIDITY")
        close_list(account, order, now_ms)


def _budget(account: Account, order: Order) -> Decimal:
    """What a market buy may still spend."""
    free = account.free(QUOTE, but=order)
    return min(free, order.quote_quantity - order.cum_quote) if order.quote_quantity else free


def _need(order: Order, price: Decimal) -> Decimal:
    """What an order takes of the free balance: base for a sell, quote for a buy."""
    if order.side == "BUY" and order.type not in LIMIT_TYPES:
        stopped = order.left * order.stop_price if order.is_waiting else order.left * price
        return order.quote_quantity or stopped
    return order.lock
