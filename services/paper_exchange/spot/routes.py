"""The spot REST endpoints: what each costs, who may call it, and its answer. Pure.

Weights and security: binance-spot-api-docs, rest-api.md; weight 0 for orders that succeed: change log 2026-04-02.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from services.paper_exchange.endpoint import Endpoint, Security
from services.paper_exchange.errors import Refused
from services.paper_exchange.keyring import Key
from services.paper_exchange.limits import OrderCount
from services.paper_exchange.signing import Params, flag, whole_or
from services.paper_exchange.spot import lists, matching, public, render, statements
from services.paper_exchange.spot.model import Account, Json, Market, Order, OrderList, Trade
from services.paper_exchange.spot.names import NAMES
from services.paper_exchange.spot.rules import choice, read_client_id, read_symbol
from services.paper_exchange.spot.symbols import SYMBOLS

DAY_MS = 86_400_000
DETAILS = ("ACK", "RESULT", "FULL")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the gate. Public endpoints get an empty account and key."""

    market: Market
    account: Account
    key: Key
    params: Params
    now_ms: int
    unfilled: OrderCount

    @property
    def symbol(self) -> str:
        """The mandatory symbol."""
        return read_symbol(self.params).name

    @property
    def symbol_or_none(self) -> str | None:
        """The optional symbol."""
        return self.symbol if self.params.get("symbol") else None

    @property
    def cancel_id(self) -> str:
        """The id of a cancel: the client's own, or one made from ours."""
        return read_client_id(self.params, "newClientOrderId", self.market.next_id())


def _place(call: Call) -> Json:
    detail = _detail(call, "FULL" if call.params.get("type") in ("MARKET", "LIMIT") else "ACK")
    order = matching.place(call.market, call.account, call.params, call.now_ms)
    if order.executed:
        call.unfilled.give_back(1, call.now_ms)
    return render.placed(call.account, order, detail)


def _test(call: Call) -> Json:
    _detail(call, "ACK")
    matching.read(call.market, call.params, call.now_ms)
    return statements.commission_of_order() if flag(call.params, "computeCommissionRates") else {}


def _query(call: Call) -> Json:
    return render.queried(matching.find(call.account, call.params, call.symbol))


def _cancel(call: Call) -> Json:
    cancel_id = call.cancel_id
    order = matching.cancel(call.account, call.params, call.symbol, call.now_ms, cancel_id)
    row = call.account.lists.get(order.list_id)
    return render.list_canceled(call.account, row, cancel_id) if row else render.canceled(order, cancel_id)


def _cancel_all(call: Call) -> list[Json]:
    """An array of what was cancelled, lists as lists; Refused(-2011) where nothing is open."""
    symbol, cancel_id = call.symbol, call.cancel_id
    orders = [order for order in call.account.open_orders.values() if order.symbol == symbol]
    if not orders:
        raise Refused(-2011)
    matching.cancel_open(call.account, orders, call.now_ms, cancel_id)
    rows = {order.list_id: call.account.lists[order.list_id] for order in orders if order.list_id in call.account.lists}
    alone = [render.canceled(order, cancel_id) for order in orders if order.list_id not in rows]
    return alone + [render.list_canceled(call.account, row, cancel_id) for row in rows.values()]


def _open_orders(call: Call) -> list[Json]:
    symbol = call.symbol_or_none
    return [render.queried(order) for order in call.account.open_orders.values() if symbol in (None, order.symbol)]


def _all_orders(call: Call) -> list[Json]:
    symbol = call.symbol
    rows = [order for order in call.account.orders.values() if order.symbol == symbol]
    return [render.queried(order) for order in _page(call, rows, "orderId")]


def _place_oco(call: Call) -> Json:
    detail = _detail(call, "RESULT")
    row = lists.place_oco(call.market, call.account, call.params, call.now_ms)
    return render.list_placed(call.account, row, detail)


def _place_old_oco(call: Call) -> Json:
    detail = _detail(call, "RESULT")
    row = lists.place_oco(call.market, call.account, lists.renamed(call.params), call.now_ms)
    return render.list_placed(call.account, row, detail)


def _query_list(call: Call) -> Json:
    return render.order_list(call.account, lists.find(call.account, call.params, "origClientOrderId"))


def _cancel_list(call: Call) -> Json:
    cancel_id = call.cancel_id
    row = lists.cancel(call.account, call.params, call.now_ms, cancel_id)
    return render.list_canceled(call.account, row, cancel_id)


def _all_lists(call: Call) -> list[Json]:
    rows = list(call.account.lists.values())
    return [render.order_list(call.account, row) for row in _page(call, rows, "fromId")]


def _open_lists(call: Call) -> list[Json]:
    return [render.order_list(call.account, row) for row in call.account.open_lists.values()]


def _trades(call: Call) -> list[Json]:
    symbol, order_id = call.symbol, whole_or(call.params, "orderId", 0)
    fills = call.account.trades
    found = fills.get(order_id, []) if order_id else [row for rows in fills.values() for row in rows]
    rows = sorted((row for row in found if row.symbol == symbol), key=lambda row: row.id)
    return [render.trade(row) for row in _page(call, rows, "fromId")]


def _account(call: Call) -> Json:
    omit_zero = flag(call.params, "omitZeroBalances")
    return statements.account_information(call.account, omit_zero=omit_zero, can_withdraw=call.key.can_withdraw)


def _exchange_info(call: Call) -> Json:
    shown = call.params.get("showPermissionSets", "true").lower() == "true"
    status = call.params.get("symbolStatus")
    names = [name for name in _named_symbols(call) or SYMBOLS if status in (None, public.status_of(call.market, name))]
    return public.exchange_info(call.market, names, call.now_ms, permission_sets=shown)


def _per_symbol(row: Callable[[Market, str], Json]) -> Callable[[Call], Any]:
    """An endpoint that answers one object where a symbol is named, else a list of those named, or of all."""

    def answer(call: Call) -> Any:
        if call.params.get("symbol"):
            return row(call.market, call.symbol)
        return [row(call.market, name) for name in _named_symbols(call) or SYMBOLS]

    return answer


def _named_symbols(call: Call) -> list[str]:
    """What `symbol` or `symbols` (a JSON list) name; [] where neither is sent."""
    if call.params.get("symbol"):
        return [call.symbol]
    if not call.params.get("symbols"):
        return []
    try:
        names = [str(name) for name in json.loads(call.params["symbols"])]
    except (ValueError, TypeError):
        raise Refused(-1100, "symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$') from None
    if len(set(names)) < len(names):
        raise Refused(-1151)
    return [read_symbol({"symbol": name}).name for name in names]


def _page(call: Call, rows: list[Any], first_id: str) -> list[Any]:
    """One page: from an id or a time on the oldest, else the latest; Refused(-1127) beyond 24 hours."""
    start, end = whole_or(call.params, "startTime", 0), whole_or(call.params, "endTime", 0)
    first, limit = whole_or(call.params, first_id, 0), max(1, min(1000, whole_or(call.params, "limit", 500)))
    if start and end and end - start > DAY_MS:
        raise Refused(-1127)
    found = [row for row in rows if row.id >= first and start <= _time(row) <= (end or call.now_ms)]
    return found[:limit] if first or start else found[-limit:]


def _time(row: Order | OrderList | Trade) -> int:
    return row.created_ms if isinstance(row, Order) else row.time_ms


def _detail(call: Call, default: str) -> str:
    return choice(call.params.get("newOrderRespType") or default, DETAILS, -1130, "newOrderRespType")


def _open_to_all(answer: Callable[[Call], Any], weight: int = 1, weight_all: int | None = None) -> Endpoint[Call]:
    return Endpoint(answer, weight, weight_all, security=Security.PUBLIC)


def _gone(_: Call) -> None:
    """The listen keys of Spot were taken away on 2026-02-20."""
    refusal = Refused(-1016)
    refusal.status = 410
    raise refusal


_ENDPOINTS: dict[tuple[str, str], Endpoint[Call]] = {
    ("GET", "/api/v3/ping"): _open_to_all(lambda _: {}),
    ("GET", "/api/v3/time"): _open_to_all(lambda call: {"serverTime": call.now_ms}),
    ("GET", "/api/v3/exchangeInfo"): _open_to_all(_exchange_info, 20),
    ("GET", "/api/v3/ticker/price"): _open_to_all(_per_symbol(public.ticker_price), 2, 4),
    ("GET", "/api/v3/ticker/bookTicker"): _open_to_all(_per_symbol(public.book_ticker), 2, 4),
    ("GET", "/api/v3/avgPrice"): _open_to_all(
        lambda call: public.average_price(call.market, call.symbol, call.now_ms), 2
    ),
    ("POST", "/api/v3/order"): Endpoint(_place, orders=(1, 1), free=True, matched=True),
    ("POST", "/api/v3/order/test"): Endpoint(_test, 20, 1, narrowed_by="computeCommissionRates"),
    ("GET", "/api/v3/order"): Endpoint(_query, 4),
    ("DELETE", "/api/v3/order"): Endpoint(_cancel, free=True, matched=True),
    ("GET", "/api/v3/openOrders"): Endpoint(_open_orders, 6, 80),
    ("DELETE", "/api/v3/openOrders"): Endpoint(_cancel_all, free=True, matched=True),
    ("GET", "/api/v3/allOrders"): Endpoint(_all_orders, 20),
    ("POST", "/api/v3/orderList/oco"): Endpoint(_place_oco, orders=(2, 2), free=True, matched=True),
    ("POST", "/api/v3/order/oco"): Endpoint(_place_old_oco, orders=(2, 2), free=True, matched=True),
    ("GET", "/api/v3/orderList"): Endpoint(_query_list, 4),
    ("DELETE", "/api/v3/orderList"): Endpoint(_cancel_list, free=True, matched=True),
    ("GET", "/api/v3/allOrderList"): Endpoint(_all_lists, 20),
    ("GET", "/api/v3/openOrderList"): Endpoint(_open_lists, 6),
    ("GET", "/api/v3/account"): Endpoint(_account, 20),
    ("GET", "/api/v3/account/commission"): Endpoint(lambda call: statements.commission(call.symbol), 20),
    ("GET", "/api/v3/myTrades"): Endpoint(_trades, 5, 20, narrowed_by="orderId"),
    ("GET", "/api/v3/rateLimit/order"): Endpoint(lambda call: call.unfilled.rows(call.now_ms), 40),
    ("POST", "/api/v3/userDataStream"): Endpoint(_gone, security=Security.PUBLIC),
    ("PUT", "/api/v3/userDataStream"): Endpoint(_gone, security=Security.PUBLIC),
    ("DELETE", "/api/v3/userDataStream"): Endpoint(_gone, security=Security.PUBLIC),
}
ROUTES = {route: replace(endpoint, takes=NAMES.get(route)) for route, endpoint in _ENDPOINTS.items()}
