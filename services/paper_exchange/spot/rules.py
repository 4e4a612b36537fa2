"""Reading new spot orders and checking them against the symbol's filters. Pure.

Source: binance-spot-api-docs, "New order", "New Order list - OCO", filters.md, errors.md.
"""

import re
from collections.abc import Collection, Iterable
from decimal import Decimal

from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import Params, text, whole
from services.paper_exchange.spot.model import ALGO_TYPES, LIMIT_TYPES, ZERO, Account, Market, Order
from services.paper_exchange.spot.symbols import (
    ASK_BAND,
    BID_BAND,
    MAX_NOTIONAL,
    MAX_NUM_ALGO_ORDERS,
    MAX_NUM_ORDERS,
    ORDER_TYPES,
    PRECISION,
    STP_DEFAULT,
    STP_MODES,
    SYMBOLS,
    TIMES_IN_FORCE,
    TRADING,
    Symbol,
)

SYMBOL = re.compile(r"[A-Z0-9._-]{1,20}")
SYMBOL_RANGE = "^[A-Z0-9-_.]{1,20}$"
CLIENT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")
CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?")
NUMBER_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
TIMED_TYPES = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
# What these symbols do not offer, by the parameter that asks for it.
NOT_OFFERED = {
    "icebergQty": "Iceberg orders are not supported for this symbol.",
    "trailingDelta": "Trailing stop orders are not supported for this symbol.",
    "pegPriceType": "Pegged orders are not supported for this symbol.",
}


def read_order(params: Params, *, new_id: int, now_ms: int, leg: str = "") -> Order:
    """A new order that passes every check of its parameters; else Refused.

    `leg` is "above" or "below" for an order of an OCO, whose own parameters carry that prefix.
    """
    symbol = read_symbol(params)
    side = choice(text(params, "side"), ("BUY", "SELL"), -1117)
    kind = choice(text(params, named(leg, "type")), ORDER_TYPES, -1116)
    for name, message in NOT_OFFERED.items():
        if named(leg, name) in params:
            raise Refused(-2010, message=message)
    _refuse_what_does_not_belong(params, leg, kind)
    order = Order(
        id=new_id,
        client_id=read_client_id(params, named(leg, "clientOrderId") if leg else "newClientOrderId", new_id),
        symbol=symbol.name,
        side=side,
        type=kind,
        time_in_force=_time_in_force(params, leg, kind),
        quantity=ZERO,
        created_ms=now_ms,
        updated_ms=now_ms,
        price=number(params, named(leg, "price")) if kind in LIMIT_TYPES else ZERO,
        stop_price=number(params, named(leg, "stopPrice")) if kind in ALGO_TYPES else ZERO,
        stp=choice(params.get("selfTradePreventionMode", STP_DEFAULT), STP_MODES, -1130, "selfTradePreventionMode"),
        strategy_id=_optional(params, named(leg, "strategyId")),
        strategy_type=_optional(params, named(leg, "strategyType")),
    )
    if order.strategy_type is not None and order.strategy_type < 1_000_000:
        raise Refused(-1134)
    _read_quantity(params, order)
    return order


def read_symbol(params: Params) -> Symbol:
    """The mandatory symbol; Refused(-1121) where there is no such, Refused(-1100) where it cannot be one."""
    name = text(params, "symbol")
    if not SYMBOL.fullmatch(name):
        raise Refused(-1100, "symbol", SYMBOL_RANGE)
    symbol = SYMBOLS.get(name)
    if symbol is None:
        raise Refused(-1121)
    return symbol


def read_client_id(params: Params, name: str, new_id: int) -> str:
    """The client's own id, or one made from ours: Refused(-1100)."""
    client_id = params.get(name) or f"paper{new_id}"
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused(-1100, name, CLIENT_ID_RANGE)
    return client_id


def check_filters(order: Order, market_price: Decimal) -> None:
    """The filters that need no account, in the order of exchangeInfo; Refused(-1013, "Filter failure: …")."""
    symbol = SYMBOLS[order.symbol]
    for price in (order.price, order.stop_price):
        if price and (price < symbol.tick or price > symbol.max_price or price % symbol.tick):
            raise failure("PRICE_FILTER")
    if not order.quote_quantity and (order.quantity < symbol.step or order.quantity % symbol.step):
        raise failure("LOT_SIZE")
    if order.quantity > symbol.max_qty:
        raise failure("LOT_SIZE")
    if order.type not in LIMIT_TYPES and order.quantity > symbol.market_max_qty:
        raise failure("MARKET_LOT_SIZE")
    down, up = BID_BAND if order.side == "BUY" else ASK_BAND
    if order.price and not market_price * down <= order.price <= market_price * up:
        raise failure("PERCENT_PRICE_BY_SIDE")
    notional = order.quote_quantity or order.quantity * (order.price or market_price)
    if notional < symbol.min_notional or (order.price and notional > MAX_NOTIONAL):
        raise failure("NOTIONAL")


def check_status(market: Market, symbol: str) -> None:
    """A symbol that does not trade takes no new orders: -1013."""
    if market.statuses.get(symbol, TRADING) != TRADING:
        raise Refused(-1013, message="Market is closed.")


def check_room(account: Account, orders: Iterable[Order]) -> None:
    """MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS of the symbol with these new orders on top."""
    rows = list(orders)
    beside = [order for order in account.open_orders.values() if order.symbol == rows[0].symbol] + rows
    if len(beside) > MAX_NUM_ORDERS:
        raise failure("MAX_NUM_ORDERS")
    algos = sum(order.type in ALGO_TYPES for order in beside)
    if algos > MAX_NUM_ALGO_ORDERS and any(row.type in ALGO_TYPES for row in rows):
        raise failure("MAX_NUM_ALGO_ORDERS")


def failure(name: str) -> Refused:
    """The refusal of a filter."""
    return Refused(-1013, message=f"Filter failure: {name}")


def number(params: Params, name: str) -> Decimal:
    """A mandatory amount above 0 in plain notation: -1100 for 1e-05 and the like, -1111, -1013."""
    value = text(params, name)
    if not NUMBER.fullmatch(value):
        raise Refused(-1100, name, NUMBER_RANGE)
    exponent = Decimal(value).normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > PRECISION:
        raise Refused(-1111, message=f"Parameter '{name}' has too much precision.")
    if not Decimal(value):
        raise Refused(-1013, message=f"Invalid {'quantity' if 'uant' in name or 'Qty' in name else 'price'}.")
    return Decimal(value)


def choice(value: str, allowed: Collection[str], code: int, *details: str) -> str:
    """The value where allowed, else Refused(code)."""
    if value not in allowed:
        raise Refused(code, *details)
    return value


def named(leg: str, name: str) -> str:
    """The parameter of an order, or of a leg of an OCO: `price`, `abovePrice`."""
    return leg + name[0].upper() + name[1:] if leg else name


def money(amount: Decimal) -> str:
    """An amount with eight decimals, as Spot writes all of them."""
    return f"{amount:.8f}"


def _refuse_what_does_not_belong(params: Params, leg: str, kind: str) -> None:
    """Parameters of another order type: -1106."""
    superfluous = {
        "price": kind not in LIMIT_TYPES,
        "stopPrice": kind not in ALGO_TYPES,
        "timeInForce": kind not in TIMED_TYPES,
    }
    for name, wrong in superfluous.items():
        if wrong and named(leg, name) in params:
            raise Refused(-1106, named(leg, name))
    if "quoteOrderQty" in params and (kind != "MARKET" or "quantity" in params):
        raise Refused(-1106, "quoteOrderQty")


def _time_in_force(params: Params, leg: str, kind: str) -> str:
    """Mandatory for limit orders, GTC for all others."""
    if kind not in TIMED_TYPES:
        return "GTC"
    return choice(text(params, named(leg, "timeInForce")), TIMES_IN_FORCE, -1115)


def _read_quantity(params: Params, order: Order) -> None:
    """Read quantity, or quoteOrderQty, into the order; -1102 where neither is sent."""
    if order.type == "MARKET" and "quantity" not in params:
        if "quoteOrderQty" not in params:
            raise Refused(-1102, message="Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
        order.quote_quantity = number(params, "quoteOrderQty")
    else:
        order.quantity = number(params, "quantity")


def _optional(params: Params, name: str) -> int | None:
    return whole(params, name) if name in params else None
