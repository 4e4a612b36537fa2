"""User-data events as Binance sends them, put into the outbox of accounts that somebody listens to. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "User Data Streams"; numbers without trailing zeros, as on the wire.
"""

from decimal import Decimal

from services.paper_exchange.futures.margin import unrealized
from services.paper_exchange.futures.model import ZERO, Account, Algo, Json, Market, Order, Position, Trade
from services.paper_exchange.futures.rules import plain
from services.paper_exchange.futures.symbols import MARGIN_ASSET, TAKER_FEE


def trade_lite(account: Account, order: Order, trade: Trade) -> None:
    """TRADE_LITE: the first news of a fill."""
    if account.outbox is None:
        return
    account.outbox.append(
        {
            "e": "TRADE_LITE",
            "E": trade.time_ms,
            "T": trade.time_ms,
            "s": order.symbol,
            "q": plain(order.quantity),
            "p": plain(order.price),
            "m": trade.maker,
            "c": order.client_id,
            "S": order.side,
            "L": plain(trade.price),
            "l": plain(trade.quantity),
            "t": trade.id,
            "i": order.id,
        }
    )


def order_update(
    account: Account, order: Order, execution: str, now_ms: int, *, status: str = "", trade: Trade | None = None,
    expiry_reason: str = "0",
) -> None:  # fmt: skip
    """ORDER_TRADE_UPDATE; `execution` is its x, `status` its X where that is not the order's present status."""
    if account.outbox is None:
        return
    is_new = execution == "NEW"
    body: Json = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": "0" if is_new else plain(order.average),
        "sp": "0",
        "x": execution,
        "X": status or order.status,
        "i": order.id,
        "l": plain(trade.quantity) if trade else "0",
        "z": "0" if is_new else plain(order.executed),
        "L": plain(trade.price) if trade else "0",
        "n": plain(trade.fee) if trade else "0",
        "N": MARGIN_ASSET,
        "T": now_ms,
        "t": trade.id if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.maker if trade else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": plain(trade.realized) if trade else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": order.stp,
        "pm": "NONE",
        "gtd": order.good_till_ms,
        "er": expiry_reason,
    }
    account.outbox.append({"e": "ORDER_TRADE_UPDATE", "T": now_ms, "E": now_ms, "o": body})


def account_update(market: Market, account: Account, positions: list[Position], reason: str, now_ms: int) -> None:
    """ACCOUNT_UPDATE with the wallet and the positions that changed."""
    if account.outbox is None:
        return
    crossed = account.wallet - sum((position.isolated_wallet for position in account.positions.values()), ZERO)
    body = {
        "B": [{"a": MARGIN_ASSET, "wb": plain(account.wallet), "cw": plain(crossed), "bc": "0"}],
        "P": [_position(market, account, position) for position in positions],
        "m": reason,
    }
    account.outbox.append({"e": "ACCOUNT_UPDATE", "T": now_ms, "E": now_ms, "a": body})


def algo_update(account: Account, algo: Algo, now_ms: int) -> None:
    """ALGO_UPDATE; `rm` stands there only where the matching engine refused, `ap`, `aq`, `act` only after a trigger."""
    if account.outbox is None:
        return
    body: Json = {
        "caid": algo.client_id,
        "aid": algo.id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.time_in_force,
        "q": plain(algo.quantity),
        "X": algo.status,
        "ai": str(algo.order_id or ""),
    }
    if algo.order_id:
        kind = "LIMIT" if algo.price else "MARKET"
        body |= {"ap": plain(algo.actual_price), "aq": plain(algo.actual_quantity), "act": kind}
    body |= {
        "tp": plain(algo.trigger_price),
        "p": plain(algo.price),
        "V": algo.stp,
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": algo.good_till_ms,
        "ia": False,
    }
    if algo.reject_reason:
        body["rm"] = algo.reject_reason
    account.outbox.append({"e": "ALGO_UPDATE", "T": now_ms, "E": now_ms, "o": body})


def config_update(account: Account, symbol: str, now_ms: int) -> None:
    """ACCOUNT_CONFIG_UPDATE after a change of leverage."""
    if account.outbox is not None:
        change = {"s": symbol, "l": account.leverage(symbol)}
        account.outbox.append({"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ac": change})


def assets_mode_update(account: Account, now_ms: int) -> None:
    """ACCOUNT_CONFIG_UPDATE after a change of the assets mode."""
    if account.outbox is not None:
        mode = {"j": account.multi_assets}
        account.outbox.append({"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ai": mode})


def break_even(position: Position) -> Decimal:
    """Entry price with the taker fee of the way in on top."""
    if not position.amount:
        return ZERO
    return position.entry * (1 + TAKER_FEE if position.amount > 0 else 1 - TAKER_FEE)


def _position(market: Market, account: Account, position: Position) -> Json:
    profit = unrealized(position, market.prices[position.symbol])
    return {
        "s": position.symbol,
        "pa": plain(position.amount),
        "ep": plain(position.entry),
        "cr": plain(position.realized),
        "up": plain(profit),
        "mt": "isolated" if account.is_isolated(position.symbol) else "cross",
        "iw": plain(position.isolated_wallet),
        "ps": position.side,
        "ma": MARGIN_ASSET,
        "bep": plain(break_even(position)),
    }
