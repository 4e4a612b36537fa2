"""Reading and checking new orders against the symbol's filters. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "New Order", "New Algo Order", "Common
Definition" (filters), "Error Code".
"""

import re
from collections.abc import Collection
from decimal import Decimal

from services.paper_exchange.errors import CLIENT_ID_TOO_LONG, Refused
from services.paper_exchange.futures.model import ZERO, Algo, Order
from services.paper_exchange.futures.symbols import CONDITIONAL_TYPES, SYMBOLS, TIMES_IN_FORCE, Symbol
from services.paper_exchange.signing import Params, flag, text, whole_or

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?")
NUMBER_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
LIMIT_ALGO_TYPES = frozenset({"STOP", "TAKE_PROFIT"})
CLOSE_POSITION_TYPES = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})
WORKING_TYPES = frozenset({"MARK_PRICE", "CONTRACT_PRICE"})


def read_order(params: Params, *, hedge_mode: bool, new_id: int, now_ms: int) -> Order:
    """A new LIMIT or MARKET order that passes every check that needs no account or price; else Refused."""
    symbol = read_symbol(params)
    side = _choice(text(params, "side"), ("BUY", "SELL"), 1117)
    kind = text(params, "type")
    if kind in CONDITIONAL_TYPES:
        raise Refused(-4120)
    is_limit = _choice(kind, ("LIMIT", "MARKET"), 1116) == "LIMIT"
    position_side, reduce_only = _read_sides(params, side, hedge_mode)
    client_id = _read_client_id(params, "newClientOrderId", new_id)
    tif = _choice(text(params, "timeInForce"), TIMES_IN_FORCE, 1115) if is_limit else "GTC"
    quantity = read_number(params, "quantity")
    price = read_number(params, "price") if is_limit else ZERO
    check_quantity(symbol, quantity, symbol.max_qty if is_limit else symbol.market_max_qty)
    if is_limit:
        check_price(symbol, price)
    return Order(
        id=new_id,
        client_id=client_id,
        symbol=symbol.name,
        side=side,
        position_side=position_side,
        type=kind,
        time_in_force=tif,
        quantity=quantity,
        price=price,
        reduce_only=reduce_only,
        created_ms=now_ms,
        updated_ms=now_ms,
        stp=params.get("selfTradePreventionMode") or "EXPIRE_MAKER",
        good_till_ms=whole_or(params, "goodTillDate", 0),
    )


def read_algo(params: Params, *, hedge_mode: bool, new_id: int, now_ms: int) -> Algo:
    """A new conditional order that passes every check that needs no account or price; else Refused."""
    if text(params, "algoType") != "CONDITIONAL":
        raise Refused(-1130, "algoType")
    symbol = read_symbol(params)
    side = _choice(text(params, "side"), ("BUY", "SELL"), 1117)
    kind = _choice(text(params, "type"), CONDITIONAL_TYPES, 1116)
    if kind == "TRAILING_STOP_MARKET":
        raise Refused(-1020)
    close_position = flag(params, "closePosition")
    position_side, reduce_only = _read_sides(params, side, hedge_mode)
    client_id = _read_client_id(params, "clientAlgoId", new_id)
    quantity = _read_algo_quantity(params, symbol, kind, close_position)
    price = read_number(params, "price") if kind in LIMIT_ALGO_TYPES else ZERO
    if kind in LIMIT_ALGO_TYPES:
        check_price(symbol, price)
    trigger_price = read_number(params, "triggerPrice")
    _check_trigger(symbol, trigger_price)
    tif = _choice(params.get("timeInForce") or "GTC", ("GTC", "IOC", "FOK", "GTX", "GTD"), 1115)
    return Algo(
        id=new_id,
        client_id=client_id,
        symbol=symbol.name,
        side=side,
        position_side=position_side,
        type=kind,
        # Close-all orders live by "good till the position expires"; clients see it as GTE_GTC.
        time_in_force="GTE_GTC" if close_position else tif,
        quantity=quantity,
        trigger_price=trigger_price,
        price=price,
        reduce_only=reduce_only or close_position,
        close_position=close_position,
        created_ms=now_ms,
        updated_ms=now_ms,
        working_type=_choice(params.get("workingType") or "CONTRACT_PRICE", WORKING_TYPES, 1130, "workingType"),
        price_protect=flag(params, "priceProtect"),
        stp=params.get("selfTradePreventionMode") or "EXPIRE_MAKER",
        good_till_ms=whole_or(params, "goodTillDate", 0),
    )


def read_symbol(params: Params) -> Symbol:
    """The mandatory symbol; Refused(-1121) where there is no such."""
    symbol = SYMBOLS.get(text(params, "symbol"))
    if symbol is None:
        raise Refused(-1121)
    return symbol


def read_number(params: Params, name: str) -> Decimal:
    """A mandatory decimal in plain notation; Refused(-1100) for 1e-05 and the like."""
    value = text(params, name)
    if not NUMBER.fullmatch(value):
        raise Refused(-1100, name, NUMBER_RANGE)
    return Decimal(value)


def check_quantity(symbol: Symbol, quantity: Decimal, maximum: Decimal) -> None:
    """LOT_SIZE or MARKET_LOT_SIZE: -4003, -1111, -4004, -4005, -4023."""
    if quantity <= 0:
        raise Refused(-4003)
    if _decimals(quantity) > symbol.quantity_precision:
        raise Refused(-1111)
    if quantity < symbol.step:
        raise Refused(-4004)
    if quantity > maximum:
        raise Refused(-4005)
    if quantity % symbol.step:
        raise Refused(-4023)


def check_price(symbol: Symbol, price: Decimal) -> None:
    """PRICE_FILTER: -1111, -4013, -4002, -4014."""
    if _decimals(price) > symbol.price_precision:
        raise Refused(-1111)
    if price < symbol.min_price:
        raise Refused(-4013)
    if price > symbol.max_price:
        raise Refused(-4002)
    if (price - symbol.min_price) % symbol.tick:
        raise Refused(-4014)


def check_percent_price(symbol: Symbol, order: Order, mark: Decimal) -> None:
    """PERCENT_PRICE, one-sided and for limit prices only: -4016 for a buy too high, -4024 for a sell too low."""
    if order.type != "LIMIT":
        return
    if order.side == "BUY" and order.price > mark * symbol.up:
        raise Refused(-4016, plain(mark * symbol.up))
    if order.side == "SELL" and order.price < mark * symbol.down:
        raise Refused(-4024, plain(mark * symbol.down))


def check_notional(symbol: Symbol, order: Order, mark: Decimal) -> None:
    """MIN_NOTIONAL, by the mark price for MARKET orders: -4164."""
    if order.quantity * (order.price if order.type == "LIMIT" else mark) < symbol.min_notional:
        raise Refused(-4164, plain(symbol.min_notional))


def plain(number: Decimal) -> str:
    """At most eight decimals, no trailing zeros, no exponent."""
    written = f"{round(number, 8):f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def _check_trigger(symbol: Symbol, price: Decimal) -> None:
    """PRICE_FILTER of a trigger price: -4006, -4007, -1111, -4014."""
    if price <= 0:
        raise Refused(-4006)
    if price > symbol.max_price:
        raise Refused(-4007)
    if _decimals(price) > symbol.price_precision:
        raise Refused(-1111)
    if (price - symbol.min_price) % symbol.tick:
        raise Refused(-4014)


def _read_algo_quantity(params: Params, symbol: Symbol, kind: str, close_position: bool) -> Decimal:
    """Quantity of a conditional order: none with closePosition (-4137), which only market kinds may be (-4136)."""
    if not close_position:
        quantity = read_number(params, "quantity")
        check_quantity(symbol, quantity, symbol.max_qty if kind in LIMIT_ALGO_TYPES else symbol.market_max_qty)
        return quantity
    if kind not in CLOSE_POSITION_TYPES:
        raise Refused(-4136, kind)
    if params.get("quantity") and read_number(params, "quantity"):
        raise Refused(-4137)
    if flag(params, "reduceOnly"):
        raise Refused(-1106, "reduceonly")
    return ZERO


def _read_sides(params: Params, side: str, hedge_mode: bool) -> tuple[str, bool]:
    """Read positionSide and reduceOnly against the account's mode: -4060, -4061, -1106."""
    position_side = params.get("positionSide") or "BOTH"
    if position_side not in ("BOTH", "LONG", "SHORT"):
        raise Refused(-4060)
    if hedge_mode == (position_side == "BOTH"):
        raise Refused(-4061)
    if hedge_mode and params.get("reduceOnly"):
        raise Refused(-1106, "reduceonly")
    if hedge_mode and flag(params, "closePosition") and (side, position_side) in (("BUY", "LONG"), ("SELL", "SHORT")):
        raise Refused(-4061)
    return position_side, flag(params, "reduceOnly")


def _read_client_id(params: Params, name: str, new_id: int) -> str:
    """The client's own id, or one made from ours: -4015."""
    client_id = params.get(name) or f"paper{new_id}"
    if len(client_id) > 36:
        raise Refused(-4015, message=CLIENT_ID_TOO_LONG)
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused(-4015)
    return client_id


def _choice(value: str, allowed: Collection[str], code: int, *details: str) -> str:
    """The value where allowed, else Refused(-code)."""
    if value not in allowed:
        raise Refused(-code, *details)
    return value


def _decimals(number: Decimal) -> int:
    """Decimal places that matter."""
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
