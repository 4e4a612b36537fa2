"""User-data events of the spot market, appended to an account's outbox while somebody listens. Pure.

Source: binance-spot-api-docs, user-data-stream.md.
"""

from services.paper_exchange.spot.model import ZERO, Account, Order, OrderList, Trade
from services.paper_exchange.spot.rules import money
from services.paper_exchange.spot.symbols import QUOTE, SYMBOLS


def execution(
    account: Account, order: Order, kind: str, now_ms: int, *, trade: Trade | None = None, cancel_id: str = ""
) -> None:
    """executionReport: `kind` is NEW, TRADE, CANCELED or EXPIRED. A cancel has an id of its own."""
    if account.outbox is None:
        return
    quantity, price = (trade.quantity, trade.price) if trade else (ZERO, ZERO)
    body = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": cancel_id or order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": money(order.quantity),
        "p": money(order.price),
        "P": money(order.stop_price),
        "F": money(ZERO),
        "g": order.list_id,
        "C": order.client_id if cancel_id else "",
        "x": kind,
        "X": order.status,
        "r": "NONE",
        "i": order.id,
        "l": money(quantity),
        "z": money(order.executed),
        "L": money(price),
        "n": money(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": now_ms,
        "t": trade.id if trade else -1,
        "I": order.id * 2 + len(account.trades.get(order.id, [])),
        "w": order.id in account.open_orders and not order.is_waiting,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": money(order.cum_quote),
        "Y": money(quantity * price),
        "Q": money(order.quote_quantity),
    }
    if order.working_ms >= 0:
        body["W"] = order.working_ms
    if order.strategy_id is not None:
        body["j"] = order.strategy_id
    if order.strategy_type is not None:
        body["J"] = order.strategy_type
    if order.expiry_reason:
        body["eR"] = order.expiry_reason
    account.outbox.append(body | {"V": order.stp})


def account_position(account: Account, symbol: str, now_ms: int) -> None:
    """OutboundAccountPosition with the two balances that an order of this symbol may have changed."""
    if account.outbox is None:
        return
    rows = [
        {"a": asset, "f": money(account.free(asset)), "l": money(account.locked(asset))}
        for asset in (SYMBOLS[symbol].base, QUOTE)
    ]
    account.outbox.append({"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": rows})


def list_status(account: Account, row: OrderList, now_ms: int) -> None:
    """The listStatus of an order list, after its placing and at its end."""
    if account.outbox is None:
        return
    orders = [{"s": row.symbol, "i": i, "c": account.orders[i].client_id} for i in row.order_ids]
    account.outbox.append(
        {
            "e": "listStatus",
            "E": now_ms,
            "s": row.symbol,
            "g": row.id,
            "c": row.contingency,
            "l": "ALL_DONE" if row.done else "EXEC_STARTED",
            "L": "ALL_DONE" if row.done else "EXECUTING",
            "r": "NONE",
            "C": row.client_id,
            "T": now_ms,
            "O": orders,
        }
    )
