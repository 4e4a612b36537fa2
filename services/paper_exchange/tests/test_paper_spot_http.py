"""Spot over real connections: what is refused and in which words, what answers look like, what they cost."""

import asyncio
import time
from typing import Any

import pytest

from services.paper_exchange.settings import Settings
from services.paper_exchange.tests.exchange_client import Customer, Running, start

BTC = "BTCUSDT"
BUY: dict[str, Any] = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = BUY | {"type": "LIMIT", "price": "94000", "timeInForce": "GTC"}
STOP = BUY | {"type": "TAKE_PROFIT", "stopPrice": "93000"}
OCO: dict[str, Any] = {
    "symbol": BTC, "side": "SELL", "quantity": "0.00999", "aboveType": "TAKE_PROFIT", "aboveStopPrice": "99000",
    "belowType": "STOP_LOSS", "belowStopPrice": "93000",
}  # fmt: skip
NUMBER = r"legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."


def without(params: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in names}


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (BUY | {"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        (BUY | {"quantity": "0.010001"}, -1013, "Filter failure: LOT_SIZE"),
        (LIMIT | {"quantity": "9001"}, -1013, "Filter failure: LOT_SIZE"),
        (BUY | {"quantity": "121"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
        (LIMIT | {"price": "94000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        (LIMIT | {"price": "1000000.01"}, -1013, "Filter failure: PRICE_FILTER"),
        (STOP | {"stopPrice": "93000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        (LIMIT | {"price": "70000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (LIMIT | {"price": "110000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (LIMIT | {"side": "SELL", "price": "80000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (BUY | {"quantity": "0.00005"}, -1013, "Filter failure: NOTIONAL"),
        (without(BUY, "quantity") | {"quoteOrderQty": "4.99"}, -1013, "Filter failure: NOTIONAL"),
        (LIMIT | {"quantity": "100"}, -1013, "Filter failure: NOTIONAL"),
        (BUY | {"quantity": "0"}, -1013, "Invalid quantity."),
        (LIMIT | {"price": "0.00"}, -1013, "Invalid price."),
        (BUY | {"quantity": "1"}, -2010, "Account has insufficient balance for requested action."),
        (BUY | {"side": "SELL"}, -2010, "Account has insufficient balance for requested action."),
        (STOP | {"stopPrice": "96000"}, -2010, "Order would trigger immediately."),
        (without(LIMIT, "timeInForce") | {"type": "LIMIT_MAKER", "price": "96000"}, -2010,
         "Order would immediately match and take."),
        (LIMIT | {"icebergQty": "0.001"}, -2010, "Iceberg orders are not supported for this symbol."),
        (STOP | {"trailingDelta": "100"}, -2010, "Trailing stop orders are not supported for this symbol."),
        (BUY | {"quantity": "1e-05"}, -1100, f"Illegal characters found in parameter 'quantity'; {NUMBER}"),
        (BUY | {"quantity": "-1"}, -1100, f"Illegal characters found in parameter 'quantity'; {NUMBER}"),
        (BUY | {"symbol": "btcusdt"}, -1100,
         "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."),
        (BUY | {"newClientOrderId": "a" * 37}, -1100,
         "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."),
        (without(BUY, "side"), -1102, "Mandatory parameter 'side' was not sent, was empty/null, or malformed."),
        (without(BUY, "quantity"), -1102,
         "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"),
        (without(LIMIT, "timeInForce"), -1102,
         "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
        (BUY | {"recvWindow": "60001"}, -1102, "'recvWindow' contains unexpected value. Cannot be greater than 60000."),
        (BUY | {"nonsense": "1"}, -1104, "Not all sent parameters were read; read '6' parameter(s) but was sent '7'."),
        (BUY | {"newClientOrderId": ""}, -1105, "Parameter 'newClientOrderId' was empty."),
        (BUY | {"price": "94000"}, -1106, "Parameter 'price' sent when not required."),
        (BUY | {"timeInForce": "GTC"}, -1106, "Parameter 'timeInForce' sent when not required."),
        (BUY | {"quoteOrderQty": "100"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        (LIMIT | {"stopPrice": "93000"}, -1106, "Parameter 'stopPrice' sent when not required."),
        (BUY | {"quantity": "0.012345678"}, -1111, "Parameter 'quantity' has too much precision."),
        (LIMIT | {"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        (BUY | {"type": "STOP_MARKET"}, -1116, "Invalid orderType."),
        (BUY | {"side": "LONG"}, -1117, "Invalid side."),
        (BUY | {"symbol": "NOPE"}, -1121, "Invalid symbol."),
        (BUY | {"strategyType": "999999"}, -1134, "`strategyType` was less than 1000000."),
    ],
)  # fmt: skip
async def test_an_order_is_refused_in_binances_words(
    customer: Customer, params: dict[str, Any], code: int, message: str
) -> None:
    assert await customer.call("POST", "/api/v3/order", **params) == (400, {"code": code, "msg": message})
    assert (await customer.book())["spot"]["orders"] == []


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"aboveType": "LIMIT"}, -1158, "Order type not supported in OCO."),
        ({"side": "BUY", "aboveType": "LIMIT_MAKER"}, -1165, "A limit order in a buy OCO must be below."),
        ({"belowType": "LIMIT_MAKER"}, -1166, "A limit order in a sell OCO must be above."),
        ({"aboveType": "LIMIT_MAKER", "belowType": "LIMIT_MAKER"}, -1168, "At least one OCO order must be contingent."),
        ({"side": "BUY", "aboveType": "STOP_LOSS"}, -1196, "A stop loss order in a buy OCO must be above."),
        ({"aboveType": "STOP_LOSS"}, -1197, "A stop loss order in a sell OCO must be below."),
        ({"side": "BUY", "belowType": "TAKE_PROFIT"}, -1198, "A take profit order in a buy OCO must be below."),
        ({"belowType": "TAKE_PROFIT"}, -1199, "A take profit order in a sell OCO must be above."),
        ({"belowStopPrice": "95500"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"aboveStopPrice": "94000"}, -2010, "The relationship of the prices for the orders is not correct."),
        ({"quantity": "0.01000"}, -2010, "Account has insufficient balance for requested action."),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"belowStopPrice": "93000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"abovePrice": "99000"}, -1106, "Parameter 'abovePrice' sent when not required."),
        ({"price": "99000"}, -1104, "Not all sent parameters were read; read '9' parameter(s) but was sent '10'."),
    ],
)
async def test_an_order_list_is_refused_in_binances_words(
    customer: Customer, changes: dict[str, Any], code: int, message: str
) -> None:
    await customer.ok("POST", "/api/v3/order", **BUY)
    assert await customer.call("POST", "/api/v3/orderList/oco", **OCO | changes) == (
        400,
        {"code": code, "msg": message},
    )
    assert (await customer.book())["spot"]["order_lists"] == []


@pytest.mark.parametrize(
    ("method", "path", "params", "code", "message"),
    [
        ("GET", "order", {"orderId": 1}, -2013, "Order does not exist."),
        ("GET", "order", {}, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
        ("DELETE", "order", {"orderId": 1}, -2011, "Unknown order sent."),
        ("DELETE", "order", {"orderId": 1, "cancelRestrictions": "NO"}, -1145, "Invalid cancelRestrictions"),
        ("DELETE", "openOrders", {}, -2011, "Unknown order sent."),
        ("DELETE", "orderList", {"orderListId": 1}, -2011, "Unknown order list sent."),
        ("DELETE", "orderList", {}, -1128,
         "Combination of optional parameters invalid. Recommendation: 'orderListId' should also be sent."),
        ("GET", "myTrades", {"startTime": 1, "endTime": 86_400_002}, -1127,
         "More than 24 hours between startTime and endTime."),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_refused_in_binances_words(
    customer: Customer, method: str, path: str, params: dict[str, Any], code: int, message: str
) -> None:
    answer = await customer.call(method, "/api/v3/" + path, symbol=BTC, **params)
    assert answer == (400, {"code": code, "msg": message})


async def test_an_order_named_by_two_ids_must_be_the_same(customer: Customer) -> None:
    placed = await customer.ok("POST", "/api/v3/order", **BUY, newClientOrderId="e1")
    query = {"symbol": BTC, "orderId": placed["orderId"]}
    assert (await customer.ok("GET", "/api/v3/order", **query, origClientOrderId="e1"))["status"] == "FILLED"
    assert await customer.refused("GET", "/api/v3/order", **query, origClientOrderId="e2") == -2039


async def test_keys_and_signatures_are_refused_as_on_futures(exchange: Running, customer: Customer) -> None:
    now = int(time.time() * 1000)
    for api_key, query, answer in (
        ("", "", (401, -2014)),
        ("a" * 64, "", (401, -2015)),
        (customer.api_key, "", (400, -1102)),
        (customer.api_key, f"timestamp={now - 6000}&signature=00", (400, -1021)),
        (customer.api_key, f"timestamp={now}&signature=00", (400, -1022)),
    ):
        status, body = await Customer(exchange, api_key, "").send("GET", "/api/v3/account", query)
        assert (status, body["code"]) == answer
    await customer.ok("GET", "/api/v3/account", recvWindow="5000.346")


async def test_open_orders_of_a_symbol_are_limited(customer: Customer) -> None:
    for _ in range(5):
        await customer.ok("POST", "/api/v3/order", **STOP | {"quantity": "0.001"})
    status, answer = await customer.call("POST", "/api/v3/order", **STOP)
    assert (status, answer["msg"]) == (400, "Filter failure: MAX_NUM_ALGO_ORDERS")
    await customer.ok("POST", "/api/v3/order", **LIMIT | {"quantity": "0.001"})
    assert len(await customer.ok("DELETE", "/api/v3/openOrders", symbol=BTC)) == 6


async def test_three_shapes_of_an_answer(customer: Customer) -> None:
    head = ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]
    body = [
        "price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status", "timeInForce", "type",
        "side", "workingTime",
    ]  # fmt: skip
    shapes = {}
    for kind in ("ACK", "RESULT", "FULL"):
        order = BUY | {"newOrderRespType": kind, "quantity": "0.001"}
        shapes[kind] = list(await customer.ok("POST", "/api/v3/order", **order))
    assert shapes == {
        "ACK": head,
        "RESULT": [*head, *body, "selfTradePreventionMode"],
        "FULL": [*head, *body, "fills", "selfTradePreventionMode"],
    }
    assert "fills" in await customer.ok("POST", "/api/v3/order", **BUY)
    assert list(await customer.ok("POST", "/api/v3/order", **STOP)) == head
    assert await customer.call("POST", "/api/v3/order/test", **BUY) == (200, {})
    assert len((await customer.book())["spot"]["orders"]) == 5


async def test_successful_orders_cost_no_weight_and_filled_ones_do_not_count(customer: Customer) -> None:
    await customer.ok("POST", "/api/v3/order", **BUY)
    assert (customer.headers["X-MBX-USED-WEIGHT-1M"], customer.headers["X-MBX-USED-WEIGHT"]) == ("0", "0")
    assert customer.headers["X-MBX-ORDER-COUNT-10S"] == customer.headers["X-MBX-ORDER-COUNT-1D"] == "1"
    await customer.refused("POST", "/api/v3/order", **BUY | {"quantity": "1"})
    assert customer.headers["X-MBX-USED-WEIGHT-1M"] == "1"
    await customer.ok("POST", "/api/v3/order", **LIMIT)
    await customer.ok("POST", "/api/v3/orderList/oco", **OCO)
    assert customer.headers["X-MBX-ORDER-COUNT-1D"] == "3"
    assert [row["count"] for row in await customer.ok("GET", "/api/v3/rateLimit/order")] == [3, 3]
    assert customer.headers["X-MBX-USED-WEIGHT-1M"] == "41"
    await customer.ok("GET", "/api/v3/myTrades", symbol=BTC, orderId=1)
    await customer.ok("GET", "/api/v3/myTrades", symbol=BTC)
    assert customer.headers["X-MBX-USED-WEIGHT-1M"] == "66"
    await customer.ok("GET", "/sapi/v1/account/apiRestrictions")
    assert customer.headers["X-SAPI-USED-IP-WEIGHT-1M"] == "1"
    await customer.ok("GET", "/fapi/v1/openOrders", symbol=BTC)
    assert customer.headers["X-MBX-USED-WEIGHT-1M"] == "1"


async def test_limits_are_spots_own_and_say_when_to_come_back() -> None:
    clock = [int(time.time() * 1000) // 60_000 * 60_000]
    running = await start(Settings(data_dir=None, paper_enforce_weight=True), lambda: clock[0])
    try:
        customer = await running.customer()
        now: dict[str, Any] = {"timestamp": clock[0], "recvWindow": 60_000}
        for _ in range(100):
            status, _answer = await customer.call("POST", "/api/v3/order", **LIMIT | {"quantity": "0.0001"}, **now)
            assert status == 200
        status, answer = await customer.call("POST", "/api/v3/order", **LIMIT | {"quantity": "0.0001"}, **now)
        assert (status, answer["msg"]) == (429, "Too many new orders; current limit is 100 orders per 10 SECOND.")
        assert customer.headers["Retry-After"] == "11"
        for _ in range(75):
            await customer.call("GET", "/api/v3/openOrders", **now)
        status, answer = await customer.call("GET", "/api/v3/time")
        assert (status, answer["code"]) == (429, -1003)
        assert answer["msg"].startswith(
            "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
        )
        assert (await customer.call("GET", "/fapi/v1/openOrders", **now))[0] == 200
    finally:
        await running.stop()


async def test_pages_begin_at_an_id_or_a_time_or_end_now(customer: Customer) -> None:
    placed = [await customer.ok("POST", "/api/v3/order", **BUY | {"quantity": "0.001"}) for _ in range(4)]
    ids = [row["orderId"] for row in placed]

    async def listed(**params: Any) -> list[int]:
        return [row["orderId"] for row in await customer.ok("GET", "/api/v3/allOrders", symbol=BTC, **params)]

    assert await listed() == ids
    assert await listed(limit=2) == ids[2:]
    assert await listed(orderId=ids[1], limit=2) == ids[1:3]
    assert await listed(startTime=placed[0]["transactTime"], limit=1) == ids[:1]
    assert await listed(endTime=placed[0]["transactTime"] - 1) == []
    fills = [row["fills"][0]["tradeId"] for row in placed]
    trades = await customer.ok("GET", "/api/v3/myTrades", symbol=BTC, fromId=fills[2])
    assert [row["id"] for row in trades] == fills[2:]
    assert await customer.ok("GET", "/api/v3/myTrades", symbol="ETHUSDT") == []


async def test_both_markets_share_prices_and_not_wallets(exchange: Running, customer: Customer) -> None:
    await customer.ok("POST", "/api/v3/order", **BUY)
    await customer.ok("POST", "/api/v3/orderList/oco", **OCO)
    await customer.market("BUY", "0.010")
    await exchange.move(BTC, "92000")
    book = await customer.book()
    assert {row["status"] for row in book["spot"]["orders"]} == {"FILLED", "EXPIRED"}
    assert [row["positionAmt"] for row in book["positions"]] == ["0.01"]
    free = {row["asset"]: row["free"] for row in book["spot"]["balances"]}
    assert free == {"USDT": "9965.81592000"}
    async with exchange.session.get(exchange.url + "/api/v3/ticker/price?symbol=BTCUSDT") as response:
        assert await response.json() == {"symbol": BTC, "price": "92000.00000000"}


async def test_faults_meet_spot_as_they_meet_futures(exchange: Running, customer: Customer) -> None:
    match = {"method": "POST", "path": "/api/v3/order"}
    for kind, more, status, orders in (
        ("http_503_unknown", {}, 503, 1), ("http_503_failed", {}, 503, 1), ("error", {"code": -1015}, 429, 1),
        ("overload", {}, 503, 1),
    ):  # fmt: skip
        await exchange.control("POST", "/paper/faults", {"match": match, "kind": kind} | more)
        assert (await customer.call("POST", "/api/v3/order", **BUY))[0] == status
        assert len((await customer.book())["spot"]["orders"]) == orders


async def test_an_order_that_is_held_up_beyond_its_window_is_not_executed(
    exchange: Running, customer: Customer
) -> None:
    fault = {"match": {"path": "/api/v3/order"}, "kind": "late", "latency_ms": 150, "times": 2}
    await exchange.control("POST", "/paper/faults", fault)
    for window in (50, 5_000):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await customer.call("POST", "/api/v3/order", **BUY, recvWindow=window)
    assert len((await customer.book())["spot"]["orders"]) == 1


async def test_a_symbol_that_is_halted_takes_no_orders_on_spot_alone(exchange: Running, customer: Customer) -> None:
    await customer.ok("POST", "/api/v3/order", **BUY)
    await customer.ok("POST", "/api/v3/orderList/oco", **OCO)
    await exchange.control("PUT", f"/paper/symbols/{BTC}", {"status": "HALT", "market": "spot"})
    closed = (400, {"code": -1013, "msg": "Market is closed."})
    assert await customer.call("POST", "/api/v3/order", **LIMIT) == closed
    assert await customer.call("POST", "/api/v3/orderList/oco", **OCO) == closed
    async with exchange.session.get(exchange.url + "/api/v3/exchangeInfo?symbolStatus=HALT") as response:
        assert [(row["symbol"], row["status"]) for row in (await response.json())["symbols"]] == [(BTC, "HALT")]
    await customer.market("BUY", "0.010")
    assert len(await customer.ok("DELETE", "/api/v3/openOrders", symbol=BTC)) == 1


async def test_listen_keys_are_gone_and_unknown_symbols_are_named(exchange: Running, customer: Customer) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert (await customer.send(method, "/api/v3/userDataStream"))[0] == 410
    for path, code in (
        ("/api/v3/exchangeInfo?symbol=NOPE", -1121), ("/api/v3/ticker/price?symbols=[1", -1100),
        ('/api/v3/ticker/price?symbols=["BTCUSDT","BTCUSDT"]', -1151),
        ("/api/v3/ping?x=1", -1101), ("/api/v3/nothing", -5000),
    ):  # fmt: skip
        async with exchange.session.get(exchange.url + path) as response:
            assert (await response.json())["code"] == code


async def test_the_old_form_of_an_oco_is_the_new_one(customer: Customer) -> None:
    await customer.ok("POST", "/api/v3/order", **BUY)
    old = {"symbol": BTC, "side": "SELL", "quantity": "0.00999", "price": "99000", "stopPrice": "93000"}
    more = {
        "stopLimitPrice": "92500",
        "stopLimitTimeInForce": "GTC",
        "listClientOrderId": "o1",
        "stopClientOrderId": "s1",
    }
    placed = await customer.ok("POST", "/api/v3/order/oco", **old, **more)
    stop, target = placed["orderReports"]
    assert (stop["type"], stop["price"], stop["stopPrice"], stop["clientOrderId"], stop["workingTime"]) == (
        "STOP_LOSS_LIMIT", "92500.00000000", "93000.00000000", "s1", -1,
    )  # fmt: skip
    assert (target["type"], target["price"], "stopPrice" in target) == ("LIMIT_MAKER", "99000.00000000", False)
    assert await customer.refused("POST", "/api/v3/order/oco", **without(old, "stopPrice")) == -1102


async def test_a_restart_forgets_nothing_of_spot(tmp_path: Any) -> None:
    first = await start(Settings(data_dir=tmp_path))
    customer = await first.customer(balance_usdt="5000")
    await customer.ok("POST", "/api/v3/order", **BUY)
    placed = await customer.ok("POST", "/api/v3/orderList/oco", **OCO | {"listClientOrderId": "o1"})
    before = (await customer.book())["spot"]
    await first.stop()
    second = await start(Settings(data_dir=tmp_path))
    try:
        again = Customer(second, customer.api_key, customer.api_secret)
        assert (await again.book())["spot"] == before
        await second.move(BTC, "92000")
        assert (await again.ok("GET", "/api/v3/orderList", origClientOrderId="o1"))["listOrderStatus"] == "ALL_DONE"
        bought = await again.ok("POST", "/api/v3/order", **BUY)
        assert bought["orderId"] > placed["orders"][1]["orderId"]
    finally:
        await second.stop()
