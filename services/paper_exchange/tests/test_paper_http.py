"""REST over real connections: who may call, what the answers look like, what the controls do."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from services.paper_exchange.limits import ORDERS_PER_10_SECONDS
from services.paper_exchange.settings import Settings
from services.paper_exchange.tests.exchange_client import Customer, Running, start

ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
HEAD = ["orderId", "symbol", "status", "clientOrderId", "price"]
TAIL = [
    "timeInForce", "type", "reduceOnly", "closePosition", "side", "positionSide", "stopPrice", "workingType",
    "priceProtect", "origType", "priceMatch", "selfTradePreventionMode", "goodTillDate",
]  # fmt: skip
POSTED = [*HEAD, "origQty", "executedQty", "cumQty", *TAIL, "updateTime"]
QUERIED = [*HEAD, "avgPrice", "origQty", "executedQty", "cumQuote", *TAIL, "time", "updateTime"]
ALGO_POSTED = [
    "algoId", "clientAlgoId", "algoType", "orderType", "symbol", "side", "positionSide", "timeInForce", "quantity",
    "algoStatus", "triggerPrice", "price", "icebergQuantity", "selfTradePreventionMode", "workingType", "priceMatch",
    "closePosition", "priceProtect", "reduceOnly", "createTime", "updateTime", "triggerTime", "goodTillDate",
]  # fmt: skip


async def test_keys_and_signatures_are_refused_in_binances_order(exchange: Running, customer: Customer) -> None:
    async def raw(api_key: str, query: str) -> tuple[int, int]:
        status, answer = await Customer(exchange, api_key, "").send("GET", "/fapi/v3/account", query)
        return status, answer["code"]

    now = int(time.time() * 1000)
    assert await raw("", "") == (401, -2014)
    assert await raw("short", "") == (401, -2014)
    assert await raw("a" * 64, "") == (401, -2015)
    assert await raw(customer.api_key, "") == (400, -1102)
    assert await raw(customer.api_key, f"timestamp={now}") == (400, -1102)
    assert await raw(customer.api_key, f"timestamp={now - 60_000}&signature=00") == (400, -1021)
    assert await raw(customer.api_key, f"timestamp={now + 60_000}&signature=00") == (400, -1021)
    assert await raw(customer.api_key, f"timestamp={now}&signature=00") == (400, -1022)


@pytest.mark.parametrize("body", [False, True])
async def test_parameters_may_come_in_query_or_body(customer: Customer, body: bool) -> None:
    status, answer = await customer.call("POST", "/fapi/v1/order", body=body, **ORDER)
    assert (status, answer["status"]) == (200, "NEW")


async def test_a_mixed_request_is_signed_over_query_followed_by_body(customer: Customer) -> None:
    query = "symbol=BTCUSDT&side=BUY&type=MARKET"
    body = f"quantity=0.010&side=SELL&timestamp={int(time.time() * 1000)}"
    signature = hmac.new(customer.api_secret.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
    status, answer = await customer.send("POST", "/fapi/v1/order", query, f"{body}&signature={signature}")
    assert (status, answer["side"]) == (200, "BUY")


async def test_the_answer_to_a_market_order_is_the_live_one(customer: Customer) -> None:
    answer = await customer.market("BUY", "0.010", newClientOrderId="e1")
    assert list(answer) == POSTED
    expected = {"status": "FILLED", "executedQty": "0.010", "cumQty": "0.010", "price": "0.00", "clientOrderId": "e1"}
    assert expected.items() <= answer.items()
    queried = await customer.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="e1")
    assert list(queried) == QUERIED
    assert (queried["avgPrice"], queried["cumQuote"]) == ("95234.50000", "952.34500")
    (listed,) = await customer.ok("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")
    assert set(listed) == {*QUERIED, "cumBase", "pair"}
    (trade,) = await customer.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", orderId=queried["orderId"])
    assert (trade["price"], trade["commission"], trade["commissionAsset"]) == ("95234.50", "0.38093800", "USDT")


async def test_an_acknowledgement_tells_nothing_of_the_fill(customer: Customer) -> None:
    answer = await customer.ok("POST", "/fapi/v1/order", **ORDER)
    assert (answer["status"], answer["executedQty"], answer["cumQty"]) == ("NEW", "0", "0")


async def test_a_market_order_with_the_same_id_fills_twice_and_a_resting_one_does_not(customer: Customer) -> None:
    first = await customer.market("BUY", "0.010", newClientOrderId="same")
    second = await customer.market("BUY", "0.010", newClientOrderId="same")
    assert first["orderId"] != second["orderId"]
    (position,) = (await customer.book())["positions"]
    assert position["positionAmt"] == "0.02"
    limit = ORDER | {"type": "LIMIT", "price": "95000", "timeInForce": "GTC", "newClientOrderId": "rest"}
    await customer.ok("POST", "/fapi/v1/order", **limit)
    assert await customer.refused("POST", "/fapi/v1/order", **limit) == -4116


async def test_algo_orders_have_the_live_shapes_in_a_book_of_their_own(customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    posted = await customer.place_algo("SELL", "STOP_MARKET", "93000.1", "s1", workingType="MARK_PRICE")
    assert list(posted) == ALGO_POSTED
    expected = {"timeInForce": "GTE_GTC", "quantity": "0", "triggerPrice": "93000.10", "icebergQuantity": None}
    assert expected.items() <= posted.items()
    (row,) = await customer.ok("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT")
    assert (row["triggerPrice"], row["actualOrderId"], row["isActivated"]) == ("93000.1", "", False)
    assert await customer.ok("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []
    assert (await customer.ok("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT"))["code"] == 200
    canceled = await customer.ok("DELETE", "/fapi/v1/algoOrder", algoId=posted["algoId"])
    assert canceled == {"algoId": posted["algoId"], "clientAlgoId": "s1", "code": "200", "msg": "success"}
    assert await customer.refused("DELETE", "/fapi/v1/algoOrder", clientAlgoId="s1") == -2011
    assert (await customer.ok("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT"))[0]["algoStatus"] == "CANCELED"
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s2")
    await customer.ok("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    assert (await customer.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="s2"))["algoStatus"] == "CANCELED"


async def test_a_triggered_stop_is_found_under_its_own_id_in_both_books(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    await exchange.move("BTCUSDT", "92900")
    child = await customer.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="s1")
    algo = await customer.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="s1")
    assert (child["status"], child["avgPrice"]) == ("FILLED", "92900.00000")
    assert (algo["algoStatus"], algo["actualOrderId"], algo["actualQty"]) == (
        "FINISHED",
        str(child["orderId"]),
        "0.010",
    )


@pytest.mark.parametrize(
    ("method", "path", "params", "code"),
    [
        ("GET", "/fapi/v1/order", {"symbol": "BTCUSDT", "orderId": 1}, -2013),
        ("GET", "/fapi/v1/order", {"symbol": "BTCUSDT"}, -1102),
        ("DELETE", "/fapi/v1/order", {"symbol": "BTCUSDT", "orderId": 1}, -2011),
        ("GET", "/fapi/v1/algoOrder", {"algoId": 1}, -2013),
        ("POST", "/fapi/v1/order", ORDER | {"type": "STOP_MARKET"}, -4120),
        ("POST", "/fapi/v1/order", ORDER | {"quantity": "0.0004"}, -1111),
        ("POST", "/fapi/v1/order", ORDER | {"symbol": "ETHUSDT", "quantity": "0.005"}, -4164),
        ("POST", "/fapi/v1/order", ORDER | {"quantity": "3"}, -2019),
        ("POST", "/fapi/v1/order", ORDER | {"reduceOnly": "true"}, -2022),
        ("POST", "/fapi/v1/order", ORDER | {"type": "LIMIT", "price": "101000", "timeInForce": "GTC"}, -4016),
        ("POST", "/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": 126}, -4028),
        ("POST", "/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("POST", "/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("GET", "/fapi/v1/nothing", {}, -5000),
    ],
)
async def test_refusals(customer: Customer, method: str, path: str, params: dict[str, Any], code: int) -> None:
    assert await customer.refused(method, path, **params) == code
    assert (await customer.book())["orders"] == []


async def test_settings_of_an_account(customer: Customer) -> None:
    answer = await customer.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=50)
    assert answer == {"leverage": 50, "maxNotionalValue": "12000000", "symbol": "BTCUSDT"}
    await customer.ok("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    (config,) = await customer.ok("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert (config["leverage"], config["marginType"]) == (50, "ISOLATED")
    await customer.market("BUY", "0.010")
    for path, params, code in (
        ("marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4048),
        ("positionSide/dual", {"dualSidePosition": "true"}, -4068),
        ("leverage", {"symbol": "BTCUSDT", "leverage": 10}, -4161),
    ):
        assert await customer.refused("POST", f"/fapi/v1/{path}", **params) == code
    await customer.market("SELL", "0.010")
    await customer.ok("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert (await customer.ok("GET", "/fapi/v1/accountConfig"))["dualSidePosition"] is True
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER) == -4061


async def test_open_orders_and_little_margin_hold_settings_in_place(customer: Customer) -> None:
    limit = ORDER | {"type": "LIMIT", "price": "95000", "timeInForce": "GTC"}
    resting = await customer.ok("POST", "/fapi/v1/order", **limit)
    assert await customer.refused("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED") == -4047
    assert await customer.refused("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true") == -4067
    await customer.ok("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=resting["orderId"])
    await customer.market("BUY", "1")
    assert await customer.refused("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=5) == -2028
    (config,) = await customer.ok("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert config["leverage"] == 20


async def test_rows_are_filtered_as_asked(exchange: Running, customer: Customer) -> None:
    orders = [await customer.market("BUY", "0.010") for _ in range(4)]
    await customer.market("BUY", "0.100", symbol="ETHUSDT")
    ids = [order["orderId"] for order in orders]

    async def listed(**params: Any) -> list[int]:
        return [row["orderId"] for row in await customer.ok("GET", "/fapi/v1/allOrders", **params)]

    assert await listed(symbol="BTCUSDT") == ids
    assert await listed(symbol="BTCUSDT", limit=2) == ids[2:]
    assert await listed(symbol="BTCUSDT", orderId=ids[1]) == ids[1:]
    assert await listed(symbol="BTCUSDT", startTime=int(time.time() * 1000) + 10_000) == []
    assert len(await listed()) == 5
    trades = await customer.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", limit=3)
    assert [row["orderId"] for row in trades] == ids[:3]
    later = await customer.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", fromId=trades[2]["id"])
    assert [row["orderId"] for row in later] == ids[2:]
    assert len(await customer.ok("GET", "/fapi/v1/income", symbol="ETHUSDT")) == 1
    assert len(await customer.ok("GET", "/fapi/v3/positionRisk")) == 2


async def test_statements_agree_with_each_other(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.100")
    await exchange.move("BTCUSDT", "96234.50")
    account = await customer.ok("GET", "/fapi/v3/account")
    (balance,) = await customer.ok("GET", "/fapi/v3/balance")
    (risk,) = await customer.ok("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
    assert account["totalUnrealizedProfit"] == balance["crossUnPnl"] == risk["unRealizedProfit"] == "100.00000000"
    assert account["availableBalance"] == balance["availableBalance"]
    assert (risk["entryPrice"], risk["positionAmt"], "leverage" in risk) == ("95234.5", "0.1", False)
    whole = await customer.ok("GET", "/fapi/v2/positionRisk")
    assert len(whole) == 6
    assert whole[0]["leverage"] == "20"
    assert len((await customer.ok("GET", "/fapi/v2/account"))["positions"]) == 6
    incomes = await customer.ok("GET", "/fapi/v1/income", incomeType="COMMISSION")
    assert [row["income"] for row in incomes] == ["-3.80938000"]
    brackets = await customer.ok("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")
    assert brackets["brackets"][1]["maintMarginRatio"] == 0.005
    assert len(await customer.ok("GET", "/fapi/v1/leverageBracket")) == 6
    assert (await customer.ok("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT"))["takerCommissionRate"] == "0.0004"


async def test_headers_count_weight_and_orders(exchange: Running, customer: Customer) -> None:
    async with exchange.session.get(exchange.url + "/fapi/v1/ping") as response:
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "1"
    await customer.ok("GET", "/fapi/v1/openOrders")
    async with exchange.session.get(exchange.url + "/fapi/v1/time") as response:
        assert response.headers["X-MBX-USED-WEIGHT-1M"] == "42"
    assert "X-MBX-ORDER-COUNT-10S" not in customer.headers
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    assert (customer.headers["X-MBX-ORDER-COUNT-10S"], customer.headers["X-MBX-ORDER-COUNT-1M"]) == ("2", "2")
    assert customer.headers["X-MBX-USED-WEIGHT-1M"] == "42"


async def test_order_limits_are_the_accounts_and_weight_is_enforced_only_on_request() -> None:
    clock = [int(time.time() * 1000) // 60_000 * 60_000]
    running = await start(Settings(data_dir=None, paper_enforce_weight=True), lambda: clock[0])
    try:
        customer = await running.customer()
        count = running.gate.venues["fapi"].order_counts
        ok: dict[str, Any] = {"timestamp": clock[0], "recvWindow": 60_000}
        await customer.ok("POST", "/fapi/v1/order", **ORDER, **ok)
        count[customer.api_key].windows[0].used = ORDERS_PER_10_SECONDS
        status, answer = await customer.call("POST", "/fapi/v1/order", **ORDER, **ok)
        assert (status, answer["code"]) == (429, -1015)
        clock[0] += 10_000
        await customer.ok("POST", "/fapi/v1/order", **ORDER, **ok)
        for _ in range(60):
            status, answer = await customer.call("GET", "/fapi/v1/openOrders", **ok)
        assert status == 200
        status, answer = await customer.call("GET", "/fapi/v1/openOrders", **ok)
        assert (status, answer["code"]) == (429, -1003)
    finally:
        await running.stop()


async def test_batch_orders_answer_one_by_one(customer: Customer) -> None:
    rows = [ORDER, ORDER | {"reduceOnly": "true", "side": "SELL", "quantity": "5"}, ORDER | {"quantity": "0"}]
    answers = await customer.ok("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(rows))
    assert [answer.get("code") for answer in answers] == [None, None, -4003]


async def test_permissions_follow_the_account(exchange: Running, customer: Customer) -> None:
    for wish, expected in ((False, False), (True, True)):
        other = await exchange.customer(can_withdraw=wish)
        answer = await other.ok("GET", "/sapi/v1/account/apiRestrictions")
        assert (answer["enableWithdrawals"], answer["enableFutures"]) == (expected, True)


async def test_a_revoked_key_is_refused_and_its_account_stays_visible(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    await exchange.control("DELETE", f"/paper/accounts/{customer.api_key}")
    status, answer = await customer.call("GET", "/fapi/v3/account")
    assert (status, answer["code"]) == (401, -2015)
    book = await customer.book()
    assert book["revoked"] is True
    assert len(book["orders"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "words"),
    [
        ("PUT", "/paper/prices/NOPEUSDT", {"price": "1"}, 404, "NOPEUSDT"),
        ("PUT", "/paper/prices/BTCUSDT", {"price": "-1"}, 422, "price"),
        ("PUT", "/paper/prices/BTCUSDT", {"price": "NaN"}, 422, "price"),
        ("PUT", "/paper/prices/BTCUSDT", {}, 422, "price"),
        ("POST", "/paper/accounts", {"balance": 5}, 422, "balance"),
        ("POST", "/paper/accounts", {"hedge_mode": "yes"}, 422, "hedge_mode"),
        ("GET", "/paper/accounts/nobody", None, 404, "nobody"),
        ("POST", "/paper/faults", {"kind": "error"}, 422, "code"),
        ("POST", "/paper/faults", {"kind": "magic"}, 422, "kind"),
        ("POST", "/paper/faults", {"kind": "http_429", "match": {"host": "x"}}, 422, "host"),
        ("POST", "/paper/faults", {"kind": "latency"}, 422, "latency_ms"),
    ],
)
async def test_controls_name_what_is_wrong(
    exchange: Running, method: str, path: str, document: Any, status: int, words: str
) -> None:
    async with exchange.session.request(method, exchange.url + path, json=document) as response:
        assert response.status == status
        assert words in (await response.json(content_type="application/problem+json"))["detail"]


async def test_prices_take_numbers_and_strings_exactly(exchange: Running) -> None:
    async with exchange.session.put(exchange.url + "/paper/prices/BTCUSDT", data='{"price": 95234.7}') as response:
        assert (await response.json())["price"] == "95234.7"
    assert (await exchange.control("GET", "/fapi/v1/premiumIndex?symbol=BTCUSDT"))["markPrice"] == "95234.70000000"
    assert len(await exchange.control("GET", "/fapi/v2/ticker/price")) == 6


async def test_probes(exchange: Running) -> None:
    for path in ("/healthz", "/readyz"):
        async with exchange.session.get(exchange.url + path) as response:
            assert response.status == 200
    await asyncio.sleep(0)
    async with exchange.session.get(exchange.url + "/metrics") as response:
        assert "paper_exchange_requests" in await response.text()
