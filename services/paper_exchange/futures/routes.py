"""The futures REST endpoints: what each costs, who may call it, and its answer. Pure.

Weights and security: developers.binance.com, USDⓈ-M Futures, the page of each endpoint.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from services.paper_exchange.endpoint import Endpoint, Security
from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import algo, configure, matching, public, render, statements
from services.paper_exchange.futures.model import Account, Algo, Income, Json, Market, Order, Trade
from services.paper_exchange.futures.moves import AUTOCLOSE
from services.paper_exchange.futures.rules import plain, read_symbol
from services.paper_exchange.futures.symbols import SYMBOLS
from services.paper_exchange.keyring import Key
from services.paper_exchange.signing import Params, text, whole_or

DONE = {"code": 200, "msg": "success"}
ALL_CANCELED = {"code": 200, "msg": "The operation of cancel all open order is done."}
BATCH_MAX, CANCEL_BATCH_MAX = 5, 10


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the gate. Public endpoints get an empty account and key.

    `gte_lag_ms`: how old a position must be before the Algo Service knows of it; `strict_ids`: a clientAlgoId is never
    free again.
    """

    market: Market
    account: Account
    key: Key
    params: Params
    now_ms: int
    gte_lag_ms: int = 0
    strict_ids: bool = False

    @property
    def symbol(self) -> str:
        """The mandatory symbol."""
        return read_symbol(self.params).name

    @property
    def symbol_or_none(self) -> str | None:
        """The optional symbol."""
        return self.symbol if self.params.get("symbol") else None


def _place(call: Call) -> Json:
    order = matching.place(call.market, call.account, call.params, call.now_ms)
    return render.placed(order, acknowledge=call.params.get("newOrderRespType", "ACK") != "RESULT")


def _place_batch(call: Call) -> list[Json]:
    try:
        rows = json.loads(text(call.params, "batchOrders"))
    except ValueError:
        raise Refused(-1130, "batchOrders") from None
    if not isinstance(rows, list) or not 1 <= len(rows) <= BATCH_MAX or not all(isinstance(row, dict) for row in rows):
        raise Refused(-1130, "batchOrders")
    answers: list[Json] = []
    for row in rows:
        params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
        try:
            order = matching.place(call.market, call.account, params, call.now_ms)
            answers.append(render.placed(order, acknowledge=params.get("newOrderRespType", "ACK") != "RESULT"))
        except Refused as refusal:
            answers.append(refusal.body)
    return answers


def _query(call: Call) -> Json:
    return render.queried(matching.find(call.account, call.params, call.symbol))


def _cancel(call: Call) -> Json:
    return render.placed(matching.cancel(call.account, call.params, call.symbol, call.now_ms))


def _test(call: Call) -> Json:
    order = matching.check(call.market, call.account, call.params, call.now_ms)
    return render.placed(order, acknowledge=True)


def _cancel_batch(call: Call) -> list[Json]:
    """By orderIdList or origClientOrderIdList, each answered for itself."""
    name = "orderIdList" if call.params.get("orderIdList") else "origClientOrderIdList"
    try:
        ids = json.loads(text(call.params, name))
    except ValueError:
        raise Refused(-1130, name) from None
    if not isinstance(ids, list) or not 1 <= len(ids) <= CANCEL_BATCH_MAX:
        raise Refused(-1130, name)
    answers: list[Json] = []
    for one in ids:
        wanted = {"orderId" if name == "orderIdList" else "origClientOrderId": str(one)}
        try:
            answers.append(render.placed(matching.cancel(call.account, wanted, call.symbol, call.now_ms)))
        except Refused as refusal:
            answers.append(refusal.body)
    return answers


def _cancel_all(call: Call) -> Json:
    matching.cancel_all(call.account, call.symbol, call.now_ms)
    return ALL_CANCELED


def _open_order(call: Call) -> Json:
    order = matching.find(call.account, call.params, call.symbol)
    if order.status != "NEW":
        raise Refused(-2013)
    return render.queried(order)


def _open_orders(call: Call) -> list[Json]:
    symbol = call.symbol_or_none
    return [render.queried(order) for order in call.account.open_orders.values() if symbol in (None, order.symbol)]


def _all_orders(call: Call) -> list[Json]:
    symbol, first = call.symbol_or_none, whole_or(call.params, "orderId", 0)
    orders = call.account.orders.values()
    rows = [o for o in orders if symbol in (None, o.symbol) and o.id >= first and _timely(call, o)]
    return [render.listed(order) for order in rows[-_limit(call, 500) :]]


def _place_algo(call: Call) -> Json:
    placed = algo.place(
        call.market,
        call.account,
        call.params,
        call.now_ms,
        gte_lag_ms=call.gte_lag_ms,
        strict_ids=call.strict_ids,
    )
    return render.algo_placed(placed)


def _query_algo(call: Call) -> Json:
    return render.algo_queried(algo.find(call.account, call.params))


def _cancel_algo(call: Call) -> Json:
    return render.algo_canceled(algo.cancel(call.account, call.params, call.now_ms))


def _cancel_all_algos(call: Call) -> Json:
    algo.cancel_all(call.account, call.symbol, call.now_ms)
    return ALL_CANCELED


def _open_algos(call: Call) -> list[Json]:
    symbol, algo_id = call.symbol_or_none, whole_or(call.params, "algoId", 0)
    rows = call.account.open_algos.values()
    return [render.algo_open(a) for a in rows if symbol in (None, a.symbol) and algo_id in (0, a.id)]


def _all_algos(call: Call) -> list[Json]:
    symbol, first = call.symbol, whole_or(call.params, "algoId", 0)
    rows = [a for a in call.account.algos.values() if a.symbol == symbol and a.id >= first and _timely(call, a)]
    return [render.algo_queried(row) for row in rows[: -_limit(call, 500) - 1 : -1]]


def _trades(call: Call) -> list[Json]:
    """Oldest first; a limit keeps the oldest, as observed on the live exchange."""
    symbol, order_id, first = call.symbol, whole_or(call.params, "orderId", 0), whole_or(call.params, "fromId", 0)
    fills = call.account.trades
    found = fills.get(order_id, []) if order_id else [trade for row in fills.values() for trade in row]
    rows = [t for t in found if t.symbol == symbol and t.id >= first and _timely(call, t)]
    return [render.trade(row) for row in sorted(rows, key=lambda trade: trade.id)[: _limit(call, 500)]]


def _incomes(call: Call) -> list[Json]:
    symbol, kind = call.symbol_or_none, call.params.get("incomeType")
    rows = [
        row
        for row in call.account.incomes
        if symbol in (None, row.symbol) and kind in (None, "", row.type) and _timely(call, row)
    ]
    return [render.income(row) for row in rows[-_limit(call, 100) :]]


def _set_leverage(call: Call) -> Json:
    symbol = configure.set_leverage(call.market, call.account, call.params, call.now_ms)
    leverage = call.account.leverage(symbol.name)
    return {"leverage": leverage, "maxNotionalValue": plain(symbol.max_notional(leverage)), "symbol": symbol.name}


def _set_margin_type(call: Call) -> Json:
    configure.set_margin_type(call.account, call.params)
    return DONE


def _move_margin(call: Call) -> Json:
    configure.move_margin(call.market, call.account, call.params, call.now_ms)
    amount = orjson.Fragment(plain(Decimal(call.params["amount"])))
    kind = int(call.params["type"])
    return {"amount": amount, "code": 200, "msg": "Successfully modify position margin.", "type": kind}


def _set_assets_mode(call: Call) -> Json:
    configure.set_assets_mode(call.account, call.params, call.now_ms)
    return DONE


def _force_orders(call: Call) -> list[Json]:
    """Liquidations, newest first; there is no auto-deleveraging here."""
    symbol, kind = call.symbol_or_none, call.params.get("autoCloseType") or "LIQUIDATION"
    rows = [
        order
        for order in call.account.orders.values()
        if order.client_id.startswith(AUTOCLOSE) and symbol in (None, order.symbol) and _timely(call, order)
    ]
    return [render.listed(row) for row in rows[: -_limit(call, 50) - 1 : -1] if kind == "LIQUIDATION"]


def _set_position_mode(call: Call) -> Json:
    configure.set_position_mode(call.account, call.params)
    return DONE


def _brackets(call: Call) -> Any:
    """One object where a symbol is named, else a list."""
    symbol = call.symbol_or_none
    return public.leverage_brackets(symbol) if symbol else [public.leverage_brackets(name) for name in SYMBOLS]


def _per_symbol(row: Callable[[Market, str, int], Json]) -> Callable[[Call], Any]:
    """An endpoint that answers one object where a symbol is named, else a list over all."""

    def answer(call: Call) -> Any:
        symbol = call.symbol_or_none
        if symbol:
            return row(call.market, symbol, call.now_ms)
        return [row(call.market, name, call.now_ms) for name in SYMBOLS]

    return answer


def _timely(call: Call, row: Order | Algo | Trade | Income) -> bool:
    """Whether a row lies within startTime and endTime, where sent."""
    start, end = whole_or(call.params, "startTime", 0), whole_or(call.params, "endTime", 0)
    time_ms = row.created_ms if isinstance(row, (Order, Algo)) else row.time_ms
    return time_ms >= start and (not end or time_ms <= end)


def _limit(call: Call, default: int) -> int:
    return max(1, min(1000, whole_or(call.params, "limit", default)))


def _open_to_all(answer: Callable[[Call], Any], weight: int = 1, weight_all: int | None = None) -> Endpoint[Call]:
    return Endpoint(answer, weight, weight_all, security=Security.PUBLIC)


ROUTES: dict[tuple[str, str], Endpoint[Call]] = {
    ("GET", "/fapi/v1/ping"): _open_to_all(lambda _: {}),
    ("GET", "/fapi/v1/time"): _open_to_all(lambda call: {"serverTime": call.now_ms}),
    ("GET", "/fapi/v1/exchangeInfo"): _open_to_all(lambda call: public.exchange_info(call.market, call.now_ms)),
    ("GET", "/fapi/v1/premiumIndex"): _open_to_all(_per_symbol(public.premium_index), 1, 10),
    ("GET", "/fapi/v1/ticker/price"): _open_to_all(_per_symbol(public.ticker_price), 1, 2),
    ("GET", "/fapi/v2/ticker/price"): _open_to_all(_per_symbol(public.ticker_price), 1, 2),
    ("GET", "/fapi/v1/ticker/bookTicker"): _open_to_all(_per_symbol(public.book_ticker), 2, 5),
    ("GET", "/fapi/v1/ticker/24hr"): _open_to_all(_per_symbol(public.ticker_24hr), 1, 40),
    ("GET", "/fapi/v1/depth"): _open_to_all(lambda call: public.depth(call.market, call.symbol, call.now_ms), 10),
    ("POST", "/fapi/v1/order"): Endpoint(_place, 0, orders=(1, 1), matched=True),
    ("GET", "/fapi/v1/order"): Endpoint(_query),
    ("DELETE", "/fapi/v1/order"): Endpoint(_cancel),
    ("POST", "/fapi/v1/batchOrders"): Endpoint(_place_batch, 5, orders=(5, 1), matched=True),
    ("POST", "/fapi/v1/order/test"): Endpoint(_test, 1),
    ("DELETE", "/fapi/v1/batchOrders"): Endpoint(_cancel_batch),
    ("GET", "/fapi/v1/forceOrders"): Endpoint(_force_orders, 20, 50),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint(_cancel_all),
    ("GET", "/fapi/v1/openOrder"): Endpoint(_open_order),
    ("GET", "/fapi/v1/openOrders"): Endpoint(_open_orders, 1, 40),
    ("GET", "/fapi/v1/allOrders"): Endpoint(_all_orders, 5),
    ("POST", "/fapi/v1/algoOrder"): Endpoint(_place_algo, 0, orders=(1, 1)),
    ("GET", "/fapi/v1/algoOrder"): Endpoint(_query_algo),
    ("DELETE", "/fapi/v1/algoOrder"): Endpoint(_cancel_algo),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Endpoint(_cancel_all_algos),
    ("GET", "/fapi/v1/openAlgoOrders"): Endpoint(_open_algos, 1, 40),
    ("GET", "/fapi/v1/allAlgoOrders"): Endpoint(_all_algos, 5),
    ("GET", "/fapi/v1/userTrades"): Endpoint(_trades, 5),
    ("GET", "/fapi/v1/income"): Endpoint(_incomes, 30),
    ("POST", "/fapi/v1/leverage"): Endpoint(_set_leverage),
    ("POST", "/fapi/v1/marginType"): Endpoint(_set_margin_type),
    ("POST", "/fapi/v1/positionMargin"): Endpoint(_move_margin),
    ("GET", "/fapi/v1/leverageBracket"): Endpoint(_brackets),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint(_set_position_mode),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint(lambda call: {"dualSidePosition": call.account.hedge_mode}, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): Endpoint(_set_assets_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): Endpoint(lambda call: {"multiAssetsMargin": call.account.multi_assets}, 30),
    ("GET", "/fapi/v1/feeBurn"): Endpoint(lambda _: {"feeBurn": False}, 30),
    ("GET", "/fapi/v1/apiTradingStatus"): Endpoint(
        lambda call: statements.trading_status(call.symbol_or_none, call.now_ms), 1, 10
    ),
    ("GET", "/fapi/v1/accountConfig"): Endpoint(
        lambda call: statements.account_config(call.account, can_withdraw=call.key.can_withdraw), 5
    ),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint(
        lambda call: statements.symbol_config(call.account, call.symbol_or_none), 5
    ),
    ("GET", "/fapi/v2/account"): Endpoint(
        lambda call: statements.account_v2(call.market, call.account, can_withdraw=call.key.can_withdraw), 5
    ),
    ("GET", "/fapi/v3/account"): Endpoint(lambda call: statements.account_v3(call.market, call.account), 5),
    ("GET", "/fapi/v2/balance"): Endpoint(lambda call: statements.balance(call.market, call.account), 5),
    ("GET", "/fapi/v3/balance"): Endpoint(lambda call: statements.balance(call.market, call.account), 5),
    ("GET", "/fapi/v2/positionRisk"): Endpoint(
        lambda call: statements.risk_v2(call.market, call.account, call.symbol_or_none), 5
    ),
    ("GET", "/fapi/v3/positionRisk"): Endpoint(
        lambda call: statements.risk_v3(call.market, call.account, call.symbol_or_none), 5
    ),
    ("GET", "/fapi/v1/commissionRate"): Endpoint(lambda call: statements.commission_rate(call.symbol), 20),
    ("GET", "/fapi/v1/rateLimit/order"): Endpoint(lambda _: public.ORDER_LIMITS),
}
