"""What a fill does to order, position, wallet and to the orders that depended on the position. Pure."""

from decimal import Decimal

from services.paper_exchange.futures import events
from services.paper_exchange.futures.model import ZERO, Account, Algo, Income, Market, Order, Position, Trade
from services.paper_exchange.futures.symbols import MAKER_FEE, TAKER_FEE

CENT = Decimal("1E-8")  # the wallet holds eight decimals, and whole ones only, so that incomes add up to it
KNOCKED_OUT = "4"  # expiry reason "knocked out by higher-priority reduce-only order, or it would reverse the position"


def fill(
    market: Market, account: Account, order: Order, price: Decimal, now_ms: int, *, quantity: Decimal | None = None,
    maker: bool = False, announce: bool = True, execution: str = "TRADE",
) -> None:  # fmt: skip
    """Fill a quantity of an order, or all that is left of it, at one price.

    Events in the live order: TRADE_LITE, ORDER_TRADE_UPDATE NEW (where `announce`: the order was not yet resting),
    ACCOUNT_UPDATE, ORDER_TRADE_UPDATE TRADE. Afterwards what cannot outlive the position is expired.
    """
    quantity = order.quantity - order.executed if quantity is None else quantity
    position = account.position(order.symbol, order.position_side)
    was = position.amount
    realized = _move(position, quantity if order.side == "BUY" else -quantity, price, now_ms)
    if account.is_isolated(order.symbol):
        _set_apart(position, was, price / account.leverage(order.symbol))
    fee = (quantity * price * (MAKER_FEE if maker else TAKER_FEE)).quantize(CENT)
    account.wallet += realized - fee
    trade = Trade(
        id=market.next_id(),
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        position_side=order.position_side,
        price=price,
        quantity=quantity,
        realized=realized,
        fee=fee,
        maker=maker,
        time_ms=now_ms,
    )
    account.trades.setdefault(order.id, []).append(trade)
    _book_incomes(market, account, trade)
    events.trade_lite(account, order, trade)
    if announce:
        events.order_update(account, order, "NEW", now_ms, status="NEW")
    order.executed, order.cum_quote = order.executed + quantity, order.cum_quote + quantity * price
    is_done = order.executed == order.quantity
    order.status, order.updated_ms = "FILLED" if is_done else "PARTIALLY_FILLED", now_ms
    if is_done:
        account.open_orders.pop(order.id, None)
    events.account_update(market, account, [position], "ORDER", now_ms)
    events.order_update(account, order, execution, now_ms, trade=trade)
    market.watch(order.symbol, account)
    if is_done:
        _finish_algo(account, order, now_ms)
    if was and was * position.amount <= 0:
        expire_dependents(account, position, now_ms)


def end_order(account: Account, order: Order, status: str, now_ms: int, expiry_reason: str = "0") -> None:
    """Take an order out of the book as CANCELED or EXPIRED."""
    order.status, order.updated_ms = status, now_ms
    account.open_orders.pop(order.id, None)
    events.order_update(account, order, status, now_ms, expiry_reason=expiry_reason)
    _finish_algo(account, order, now_ms)


def end_algo(account: Account, algo: Algo, status: str, now_ms: int) -> None:
    """Take a conditional order out of its book as CANCELED, EXPIRED or REJECTED."""
    algo.status, algo.updated_ms = status, now_ms
    account.open_algos.pop(algo.id, None)
    events.algo_update(account, algo, now_ms)


def expire_dependents(account: Account, position: Position, now_ms: int) -> None:
    """A position closed or turned round: its close-all algos expire, its resting reduce-only orders are knocked out."""
    for algo in list(account.open_algos.values()):
        if algo.close_position and (algo.symbol, algo.position_side) == (position.symbol, position.side):
            end_algo(account, algo, "EXPIRED", now_ms)
    for order in list(account.open_orders.values()):
        if order.reduce_only and (order.symbol, order.position_side) == (position.symbol, position.side):
            end_order(account, order, "EXPIRED", now_ms, KNOCKED_OUT)


def _finish_algo(account: Account, order: Order, now_ms: int) -> None:
    """The algo that became this order is FINISHED: filled, or cancelled in the matching engine."""
    algo = account.algo_by_client_id.get(order.client_id)
    if algo is None or algo.order_id != order.id or algo.status != "TRIGGERED":
        return
    algo.status, algo.updated_ms = "FINISHED", now_ms
    algo.actual_price, algo.actual_quantity = order.average, order.executed
    events.algo_update(account, algo, now_ms)


def _move(position: Position, signed: Decimal, price: Decimal, now_ms: int) -> Decimal:
    """Change a position by a signed quantity; return the realized profit, fees apart."""
    before, position.updated_ms = position.amount, now_ms
    position.amount = after = before + signed
    if before * after <= 0:
        position.opened_ms = now_ms
    if before * signed >= 0:
        position.entry = (position.entry * abs(before) + price * abs(signed)) / abs(after)
        return ZERO
    closed = min(abs(before), abs(signed)) * (1 if before > 0 else -1)
    realized = (closed * (price - position.entry)).quantize(CENT)
    position.realized += realized
    if before * after <= 0:
        position.entry = price if after else ZERO
    return realized


def _set_apart(position: Position, was: Decimal, margin_each: Decimal) -> None:
    """Move margin into an isolated position's wallet for what was opened, out of it for what was closed."""
    now = position.amount
    stayed = min(abs(was), abs(now)) if was * now > 0 else ZERO
    kept = (position.isolated_wallet * stayed / abs(was)).quantize(CENT) if stayed else ZERO
    position.isolated_wallet = kept + ((abs(now) - stayed) * margin_each).quantize(CENT)


def _book_incomes(market: Market, account: Account, trade: Trade) -> None:
    """Record what a trade did to the wallet, as GET /fapi/v1/income tells it."""
    if trade.realized:
        row = Income(market.next_id(), "REALIZED_PNL", trade.symbol, trade.realized, trade.time_ms, trade.id)
        account.incomes.append(row)
    account.incomes.append(Income(market.next_id(), "COMMISSION", trade.symbol, -trade.fee, trade.time_ms, trade.id))
