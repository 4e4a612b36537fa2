"""Order lists: one-cancels-the-other. Pure.

Source: binance-spot-api-docs, "New Order list - OCO", "New OCO - Deprecated", "Cancel Order list", errors.md.
"""

from decimal import Decimal

from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import Params, text, whole
from services.paper_exchange.spot import events
from services.paper_exchange.spot.matching import DUPLICATE, POOR, WOULD_TRIGGER, cancel_open, check_client_id, enter
from services.paper_exchange.spot.model import STOPS, Account, Market, Order, OrderList
from services.paper_exchange.spot.rules import (
    check_filters,
    check_room,
    check_status,
    choice,
    failure,
    read_client_id,
    read_order,
    read_symbol,
)
from services.paper_exchange.spot.symbols import MAX_NUM_ORDER_LISTS

BAD_PRICES = "The relationship of the prices for the orders is not correct."
UNKNOWN_LIST = "Unknown order list sent."
NO_SUCH_LIST = "Order list does not exist."
NEITHER_SENT = "Combination of optional parameters invalid. Recommendation: 'orderListId' should also be sent."
LEG_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT", "LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


def place_oco(market: Market, account: Account, params: Params, now_ms: int) -> OrderList:
    """Accept an OCO of two resting orders; else Refused and nothing changed."""
    symbol = read_symbol(params)
    _check_types(params)
    above, below = (read_order(params, new_id=market.next_id(), now_ms=now_ms, leg=leg) for leg in ("above", "below"))
    check_status(market, symbol.name)
    price = market.prices[symbol.name]
    for leg in (above, below):
        check_filters(leg, price)
    row = _list_of(market, account, params, above, below, now_ms)
    _check_prices(above, below, price)
    if max(above.lock, below.lock) > account.free(above.locks):
        raise Refused(-2010, message=POOR)
    account.lists[row.id] = account.open_lists[row.id] = account.list_by_client_id[row.client_id] = row
    for leg in _stop_first(above, below):
        leg.list_id = row.id
        enter(market, account, leg, now_ms)
    events.list_status(account, row, now_ms)
    events.account_position(account, symbol.name, now_ms)
    return row


def renamed(params: Params) -> Params:
    """The parameters of the deprecated POST order/oco, in the words of POST orderList/oco."""
    sells = text(params, "side") == "SELL"
    limit, stop = ("above", "below") if sells else ("below", "above")
    names = {
        "limitClientOrderId": limit + "ClientOrderId",
        "price": limit + "Price",
        "limitStrategyId": limit + "StrategyId",
        "limitStrategyType": limit + "StrategyType",
        "limitIcebergQty": limit + "IcebergQty",
        "trailingDelta": stop + "TrailingDelta",
        "stopClientOrderId": stop + "ClientOrderId",
        "stopPrice": stop + "StopPrice",
        "stopLimitPrice": stop + "Price",
        "stopStrategyId": stop + "StrategyId",
        "stopStrategyType": stop + "StrategyType",
        "stopIcebergQty": stop + "IcebergQty",
        "stopLimitTimeInForce": stop + "TimeInForce",
    }
    for name in ("price", "stopPrice"):
        text(params, name)
    kinds = {limit + "Type": "LIMIT_MAKER", stop + "Type": "STOP_LOSS" + "_LIMIT" * ("stopLimitPrice" in params)}
    return {names.get(name, name): value for name, value in params.items()} | kinds


def find(account: Account, params: Params, client_id_name: str) -> OrderList:
    """The list named by orderListId or by its client id: -2013, -1128 where neither is sent, -2039."""
    client_id = params.get(client_id_name)
    if "orderListId" in params:
        row = account.lists.get(whole(params, "orderListId"))
    elif client_id:
        row = account.list_by_client_id.get(client_id)
    else:
        raise Refused(-1128, message=NEITHER_SENT)
    if row is None:
        raise Refused(-2013, message=NO_SUCH_LIST)
    if client_id and client_id != row.client_id:
        raise Refused(-2039)
    return row


def cancel(account: Account, params: Params, now_ms: int, cancel_id: str) -> OrderList:
    """Cancel both orders of an open list; Refused(-2011) where it is not open."""
    symbol = read_symbol(params)
    try:
        row = find(account, params, "listClientOrderId")
    except Refused as refusal:
        raise Refused(-2011, message=UNKNOWN_LIST) if refusal.code == -2013 else refusal from None
    if row.done or row.symbol != symbol.name:
        raise Refused(-2011, message=UNKNOWN_LIST)
    cancel_open(account, [account.orders[order_id] for order_id in row.order_ids], now_ms, cancel_id)
    return row


def _list_of(market: Market, account: Account, params: Params, above: Order, below: Order, now_ms: int) -> OrderList:
    """The list of two new orders, where the account has room for it and no id is taken."""
    check_room(account, [above, below])
    if sum(row.symbol == above.symbol for row in account.open_lists.values()) >= MAX_NUM_ORDER_LISTS:
        raise failure("MAX_NUM_ORDER_LISTS")
    for leg in (above, below):
        check_client_id(account, leg)
    list_id = market.next_id()
    client_id = read_client_id(params, "listClientOrderId", list_id)
    namesake = account.list_by_client_id.get(client_id)
    if above.client_id == below.client_id or (namesake is not None and not namesake.done):
        raise Refused(-2010, message=DUPLICATE)
    return OrderList(list_id, client_id, above.symbol, [leg.id for leg in _stop_first(above, below)], now_ms)


def _check_types(params: Params) -> None:
    """Which kind of order may stand above and which below: -1158, -1168, -1165, -1166, -1196 to -1199."""
    side = choice(text(params, "side"), ("BUY", "SELL"), -1117)
    above, below = (choice(text(params, name), LEG_TYPES, -1158) for name in ("aboveType", "belowType"))
    if above == below == "LIMIT_MAKER":
        raise Refused(-1168)
    gain, loss = (above, below) if side == "SELL" else (below, above)
    if loss == "LIMIT_MAKER":
        raise Refused(-1166 if side == "SELL" else -1165)
    if gain in STOPS:
        raise Refused(-1197 if side == "SELL" else -1196)
    if loss not in STOPS:
        raise Refused(-1199 if side == "SELL" else -1198)


def _check_prices(above: Order, below: Order, price: Decimal) -> None:
    """One order above the market, one below, neither reached already: -2010."""
    gain, loss = (above, below) if above.side == "SELL" else (below, above)
    upper, lower = (gain.price or gain.stop_price), loss.stop_price
    if above.side == "BUY":
        upper, lower = lower, upper
    if not upper > price > lower:
        raise Refused(-2010, message=BAD_PRICES)
    if gain.is_waiting and gain.is_reached(price):
        raise Refused(-2010, message=WOULD_TRIGGER)


def _stop_first(above: Order, below: Order) -> list[Order]:
    """The order that limits the loss comes first in every answer, as live."""
    return [below, above] if above.side == "SELL" else [above, below]
