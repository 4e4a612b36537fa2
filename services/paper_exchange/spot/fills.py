"""What happens to an order: it fills, triggers, or ends; and to balances and order lists with it. Pure."""

from decimal import ROUND_DOWN, Decimal

from services.paper_exchange.spot import events
from services.paper_exchange.spot.model import Account, Market, Order, Trade
from services.paper_exchange.spot.symbols import FEE, QUOTE, SYMBOLS

SMALLEST = Decimal("1E-8")


def fill(
    market: Market, account: Account, order: Order, price: Decimal, now_ms: int, *, maker: bool = False,
    quantity: Decimal | None = None,
) -> None:  # fmt: skip
    """Fill an order at one price: all that is left of it, or only `quantity`.

    A buy pays quote and receives base less the fee, a sell pays base and receives quote less the fee.
    """
    filled = order.left if quantity is None else quantity
    base, buys = SYMBOLS[order.symbol].base, order.side == "BUY"
    fee = ((filled if buys else filled * price) * FEE).quantize(SMALLEST, ROUND_DOWN)
    trade = Trade(
        id=market.next_id(),
        order_id=order.id,
        list_id=order.list_id,
        symbol=order.symbol,
        side=order.side,
        price=price,
        quantity=filled,
        fee=fee,
        maker=maker,
        time_ms=now_ms,
    )
    sign = 1 if buys else -1
    account.totals[base] = account.total(base) + sign * filled - (fee if buys else 0)
    account.totals[QUOTE] = account.total(QUOTE) - sign * trade.quote - (0 if buys else fee)
    account.trades.setdefault(order.id, []).append(trade)
    order.executed += filled
    order.cum_quote += trade.quote
    order.updated_ms = account.updated_ms = now_ms
    order.status = "PARTIALLY_FILLED" if order.left else "FILLED"
    if not order.left:
        account.open_orders.pop(order.id, None)
    events.execution(account, order, "TRADE", now_ms, trade=trade)
    expire_siblings(account, order, now_ms)
    close_list(account, order, now_ms)


def end(account: Account, order: Order, status: str, now_ms: int, reason: str = "", cancel_id: str = "") -> None:
    """Take an order out of the book as CANCELED (by the customer, with the id of the cancel) or EXPIRED."""
    order.status, order.updated_ms, order.expiry_reason = status, now_ms, reason
    account.open_orders.pop(order.id, None)
    account.updated_ms = now_ms
    events.execution(account, order, status, now_ms, cancel_id=cancel_id)


def expire_siblings(account: Account, order: Order, now_ms: int) -> None:
    """An order of a list works or trades: the other one expires."""
    for other in siblings(account, order):
        if other.id in account.open_orders:
            end(account, other, "EXPIRED", now_ms, "OCO_TRIGGER")


def siblings(account: Account, order: Order) -> list[Order]:
    """The other orders of its list."""
    row = account.lists.get(order.list_id)
    return [account.orders[other] for other in row.order_ids if other != order.id] if row else []


def close_list(account: Account, order: Order, now_ms: int) -> None:
    """End the list of an order where none of its orders is open any more."""
    row = account.open_lists.get(order.list_id)
    if row is None or any(order_id in account.open_orders for order_id in row.order_ids):
        return
    row.done, row.time_ms = True, now_ms
    account.open_lists.pop(row.id)
    events.list_status(account, row, now_ms)
