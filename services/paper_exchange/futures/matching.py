"""Placing and cancelling ordinary orders. Pure.

MARKET orders fill at once and wholly at the current price, unless a thin book was set for them; LIMIT orders rest until
the price reaches them.
Source of the rules: developers.binance.com, USDⓈ-M Futures, "New Order", "Cancel Order", "Error Code".
"""

from collections.abc import Iterator
from decimal import Decimal

from services.paper_exchange.books import Book
from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import events
from services.paper_exchange.futures.fills import end_order, fill
from services.paper_exchange.futures.margin import initial, is_hedge_close, margins, opens
from services.paper_exchange.futures.model import ZERO, Account, Market, Order
from services.paper_exchange.futures.rules import check_notional, check_percent_price, read_order
from services.paper_exchange.futures.symbols import MARKET_TAKE_BOUND, OPEN_ORDERS_MAX, SYMBOLS, TAKER_FEE, TRADING
from services.paper_exchange.signing import Params, whole

NOT_FILLED = "9"  # expiry reason "the market order is not completely filled"
ASSUMED_LONG, ASSUMED_SHORT = Decimal("1.0005"), Decimal("1.0015")


def place(market: Market, account: Account, params: Params, now_ms: int) -> Order:
    """Accept a new order from its parameters and return it, filled where it fills; else Refused and nothing changed."""
    return execute(market, account, check(market, account, params, now_ms), now_ms)


def check(market: Market, account: Account, params: Params, now_ms: int) -> Order:
    """The order that these parameters would place; else Refused. Nothing changes."""
    order = read_order(params, hedge_mode=account.hedge_mode, new_id=market.next_id(), now_ms=now_ms)
    namesake = account.order_by_client_id.get(order.client_id)
    # Only open orders hold their id: a filled MARKET order's id may be used again, and fills again.
    if namesake is not None and namesake.status == "NEW":
        raise Refused(-4116)
    symbol, mark = SYMBOLS[order.symbol], market.prices[order.symbol]
    reduces = order.reduce_only or is_hedge_close(order)
    check_status(market, order.symbol, reduces=reduces)
    check_percent_price(symbol, order, mark)
    if not reduces:
        check_notional(symbol, order, mark)
    admit(market, account, order)
    return order


def admit(market: Market, account: Account, order: Order) -> None:
    """Let the account afford a well-formed order, or refuse: -2022, -2027, -2019, -5022, -5021, -2025, -4131.

    A reduce-only order is cut to what is left to reduce; nothing else changes.
    """
    crosses = _crosses(market, order)
    _check_reduction(account, order)
    _check_margin(market, account, order, market.prices[order.symbol] if crosses else order.price)
    if order.time_in_force == "GTX" and crosses:
        raise Refused(-5022)
    if order.time_in_force == "FOK" and not crosses:
        raise Refused(-5021)
    if not crosses and _resting_count(account, order.symbol) >= OPEN_ORDERS_MAX:
        raise Refused(-2025)
    _check_best_price(market, account, order)


def execute(market: Market, account: Account, order: Order, now_ms: int) -> Order:
    """Enter an admitted order into the book: it fills at the current price, rests, or (IOC) expires."""
    account.orders[order.id] = account.order_by_client_id[order.client_id] = order
    if order.type == "MARKET" and (book := _book(market, account, order)):
        market.books.use(book)
        return _fill_from(book, market, account, order, now_ms)
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


def _fill_from(book: Book, market: Market, account: Account, order: Order, now_ms: int) -> Order:
    """Fill a market order as its book says, up to the market take bound; the rest expires."""
    for number, (price, quantity) in enumerate(_trades(book, market, order)):
        if _is_out_of_bound(price, market.prices[order.symbol]):
            break
        fill(market, account, order, price, now_ms, quantity=quantity, announce=number == 0)
    if not order.executed:
        events.order_update(account, order, "NEW", now_ms)
    if order.executed < order.quantity:
        end_order(account, order, "EXPIRED", now_ms, NOT_FILLED)
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


def _check_best_price(market: Market, account: Account, order: Order) -> None:
    """A market order whose best counterparty lies beyond the market take bound is refused: -4131."""
    book = _book(market, account, order) if order.type == "MARKET" else None
    best = next(_trades(book, market, order), None) if book else None
    if book and best and _is_out_of_bound(best[0], market.prices[order.symbol]):
        market.books.use(book)
        raise Refused(-4131)


def check_status(market: Market, symbol: str, *, reduces: bool) -> None:
    """A symbol that does not trade takes nothing where it is closed (-4141), else only what reduces (-4140)."""
    status = market.statuses.get(symbol, TRADING)
    if status == "CLOSE":
        raise Refused(-4141)
    if status != TRADING and not reduces:
        raise Refused(-4140)


def _resting_count(account: Account, symbol: str) -> int:
    """What MAX_NUM_ORDERS counts: open orders of a symbol, conditional ones too ("Common Definition")."""
    symbols = [order.symbol for order in account.open_orders.values()]
    return (symbols + [algo.symbol for algo in account.open_algos.values()]).count(symbol)


def _book(market: Market, account: Account, order: Order) -> Book | None:
    return market.books.find("futures", order.symbol, order.side, account.api_key)


def _trades(book: Book, market: Market, order: Order) -> Iterator[tuple[Decimal, Decimal]]:
    symbol = SYMBOLS[order.symbol]
    return book.trades(order.quantity, market.prices[order.symbol], order.side, symbol.step, symbol.tick)


def _is_out_of_bound(price: Decimal, mark: Decimal) -> bool:
    return abs(price - mark) > mark * MARKET_TAKE_BOUND


def _check_margin(market: Market, account: Account, order: Order, price: Decimal) -> None:
    """What an order opens must fit the bracket (-2027) and, with its fee, the available balance (-2019)."""
    position = account.position(order.symbol, order.position_side)
    opening = opens(position, order)
    if not opening:
        return
    leverage, mark = account.leverage(order.symbol), market.prices[order.symbol]
    result = abs(position.amount + order.signed + _resting(account, order)) * price
    if result > SYMBOLS[order.symbol].max_notional(leverage):
        raise Refused(-2027)
    closing = abs(order.signed) - opening
    # The part that closes a position in passing sets that position's margin free.
    freed = (position.isolated_wallet or initial(account, position, mark)) if closing else ZERO
    assumed = _assuming_price(order, mark)
    open_loss = max(ZERO, assumed - mark if order.side == "BUY" else mark - (order.price or mark))
    cost = opening * (assumed / leverage + open_loss) + abs(order.signed) * price * TAKER_FEE
    if cost > margins(market, account).available + freed:
        raise Refused(-2019)


def _resting(account: Account, order: Order) -> Decimal:
    """Signed quantity of the open orders that add to the same position; it counts against the bracket too."""
    return sum(
        (
            other.signed
            for other in account.open_orders.values()
            if (other.symbol, other.position_side, other.side) == (order.symbol, order.position_side, order.side)
            and not other.reduce_only
        ),
        ZERO,
    )


def _assuming_price(order: Order, mark: Decimal) -> Decimal:
    """The price that the margin of a new order is reckoned at, a little worse than the market.

    Source: binance.com FAQ "How to Calculate Cost Required to Open a Position".
    """
    if order.side == "SELL":
        return max(mark * ASSUMED_SHORT, order.price)
    return mark * ASSUMED_LONG if order.type == "MARKET" else order.price
