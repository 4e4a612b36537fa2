"""The spot user-data stream over real WebSockets: the WebSocket API as it is documented."""

import asyncio
import hashlib
import hmac
import time
from typing import Any

import aiohttp

from services.paper_exchange.tests.exchange_client import Customer, Running

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
OCO = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.00999", "listClientOrderId": "o1",
    "aboveType": "TAKE_PROFIT", "aboveStopPrice": "99000", "aboveClientOrderId": "t1",
    "belowType": "STOP_LOSS", "belowStopPrice": "93000", "belowClientOrderId": "s1",
}  # fmt: skip


def signed(customer: Customer, **params: Any) -> dict[str, Any]:
    """What a method that asks for a signature is sent with."""
    params = {"apiKey": customer.api_key, "timestamp": int(time.time() * 1000)} | params
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return params | {"signature": hmac.new(customer.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}


async def ask(socket: aiohttp.ClientWebSocketResponse, method: str, **params: Any) -> Any:
    """Send a request; return its answer, which must come next."""
    await socket.send_json({"id": method, "method": method, "params": params})
    async with asyncio.timeout(5):
        answer = await socket.receive_json()
    assert answer["id"] == method
    return answer


async def heard(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [await socket.receive_json() for _ in range(count)]


async def follow(socket: aiohttp.ClientWebSocketResponse, customer: Customer) -> int:
    answer = await ask(socket, "userDataStream.subscribe.signature", **signed(customer))
    assert answer["status"] == 200, answer
    subscription: int = answer["result"]["subscriptionId"]
    return subscription


async def test_a_market_buy_is_told_as_new_trade_and_balances(exchange: Running, customer: Customer) -> None:
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        assert await follow(socket, customer) == 0
        placed = await customer.ok("POST", "/api/v3/order", **ORDER, newClientOrderId="e1")
        new, trade, balances = [row["event"] for row in await heard(socket, 3)]
    assert (new["e"], new["x"], new["X"], new["t"], new["n"], new["N"]) == (
        "executionReport",
        "NEW",
        "NEW",
        -1,
        "0",
        None,
    )
    assert (trade["x"], trade["X"], trade["c"], trade["i"]) == ("TRADE", "FILLED", "e1", placed["orderId"])
    assert (trade["l"], trade["L"], trade["Y"]) == ("0.01000000", "95234.50000000", "952.34500000")
    assert (trade["n"], trade["N"], trade["t"]) == ("0.00001000", "BTC", placed["fills"][0]["tradeId"])
    assert (trade["z"], trade["Z"], trade["w"], trade["m"], trade["C"]) == (
        "0.01000000",
        "952.34500000",
        False,
        False,
        "",
    )
    assert balances["e"] == "outboundAccountPosition"
    assert balances["B"] == [
        {"a": "BTC", "f": "0.00999000", "l": "0.00000000"}, {"a": "USDT", "f": "9047.65500000", "l": "0.00000000"},
    ]  # fmt: skip


async def test_a_triggered_stop_tells_the_sibling_the_fill_and_the_list(exchange: Running, customer: Customer) -> None:
    await customer.ok("POST", "/api/v3/order", **ORDER)
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        placed = await customer.ok("POST", "/api/v3/orderList/oco", **OCO)
        rows = [row["event"] for row in await heard(socket, 4)]
        assert [row["e"] for row in rows] == [
            "executionReport", "executionReport", "listStatus", "outboundAccountPosition",
        ]  # fmt: skip
        assert (rows[0]["g"], rows[0]["w"], rows[0]["P"]) == (placed["orderListId"], False, "93000.00000000")
        assert (rows[2]["C"], rows[2]["l"], rows[2]["L"]) == ("o1", "EXEC_STARTED", "EXECUTING")
        assert rows[3]["B"][0] == {"a": "BTC", "f": "0.00000000", "l": "0.00999000"}
        await exchange.move("BTCUSDT", "92000")
        expired, working, filled, done, balances = [row["event"] for row in await heard(socket, 5)]
    assert (expired["c"], expired["X"], expired["eR"]) == ("t1", "EXPIRED", "OCO_TRIGGER")
    assert (working["c"], working["x"], working["w"]) == ("s1", "NEW", True)
    assert (filled["c"], filled["X"], filled["L"], filled["N"]) == ("s1", "FILLED", "92000.00000000", "USDT")
    assert (done["l"], done["L"]) == ("ALL_DONE", "ALL_DONE")
    assert balances["B"][0] == {"a": "BTC", "f": "0.00000000", "l": "0.00000000"}


async def test_a_cancel_is_told_with_its_own_id(exchange: Running, customer: Customer) -> None:
    resting = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "90000"}
    await customer.ok("POST", "/api/v3/order", **resting, timeInForce="GTC", newClientOrderId="r1")
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        await customer.ok("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="r1", newClientOrderId="c1")
        canceled, balances = [row["event"] for row in await heard(socket, 2)]
    assert (canceled["x"], canceled["c"], canceled["C"]) == ("CANCELED", "c1", "r1")
    assert balances["B"][1] == {"a": "USDT", "f": "10000.00000000", "l": "0.00000000"}


async def test_one_connection_follows_many_accounts_and_each_once(exchange: Running, customer: Customer) -> None:
    other = await exchange.customer()
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        assert [await follow(socket, customer), await follow(socket, other)] == [0, 1]
        again = await ask(socket, "userDataStream.subscribe.signature", **signed(other))
        assert (again["status"], again["error"]["code"]) == (400, -2035)
        await other.ok("POST", "/api/v3/order", **ORDER)
        assert {row["subscriptionId"] for row in await heard(socket, 3)} == {1}
        assert (await ask(socket, "session.subscriptions"))["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
        await socket.send_json({"id": 9, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 1}})
        ended, answer = await heard(socket, 2)
        assert (ended["subscriptionId"], ended["event"]["e"]) == (1, "eventStreamTerminated")
        assert (answer["id"], answer["status"], answer["result"]) == (9, 200, {})
        await other.ok("POST", "/api/v3/order", **ORDER)
        status = await ask(socket, "session.status")  # nothing was told in between
        assert (status["result"]["userDataStream"], status["result"]["apiKey"]) == (True, None)
        assert await follow(socket, other) == 2


async def test_a_revoked_key_ends_its_subscriptions(exchange: Running, customer: Customer) -> None:
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        await exchange.control("DELETE", f"/paper/accounts/{customer.api_key}")
        assert (await heard(socket, 1))[0]["event"]["e"] == "eventStreamTerminated"
        refused = await ask(socket, "userDataStream.subscribe.signature", **signed(customer))
        assert (refused["status"], refused["error"]["code"]) == (401, -2015)


async def test_subscribing_is_refused_as_every_signed_request_is(exchange: Running, customer: Customer) -> None:
    method = "userDataStream.subscribe.signature"
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        old = signed(customer, timestamp=int(time.time() * 1000) - 6000)
        assert (await ask(socket, method, **old))["error"]["code"] == -1021
        assert (await ask(socket, method, **signed(customer) | {"signature": "00"}))["error"]["code"] == -1022
        assert (await ask(socket, method, **signed(customer) | {"apiKey": "no"}))["error"]["code"] == -2014
        assert (await ask(socket, "session.logon", **signed(customer)))["error"]["code"] == -2028
        assert (await ask(socket, "no.such.method"))["error"]["code"] == -1020
        await socket.send_str("{")
        assert (await heard(socket, 1))[0]["error"]["code"] == -1135


async def test_orders_may_be_placed_and_read_over_the_socket(exchange: Running, customer: Customer) -> None:
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        assert (await ask(socket, "ping"))["result"] == {}
        assert abs((await ask(socket, "time"))["result"]["serverTime"] - time.time() * 1000) < 5000
        placed = await ask(socket, "order.place", **signed(customer, **ORDER))
        assert (placed["result"]["status"], placed["result"]["executedQty"]) == ("FILLED", "0.01000000")
        kinds = [(row["rateLimitType"], row["interval"], row["count"]) for row in placed["rateLimits"]]
        assert kinds == [("ORDERS", "SECOND", 0), ("ORDERS", "DAY", 0), ("REQUEST_WEIGHT", "MINUTE", 4)]
        query = signed(customer, symbol="BTCUSDT", orderId=placed["result"]["orderId"], returnRateLimits="false")
        asked = await ask(socket, "v3/order.status", **query)
        assert (asked["result"]["status"], "rateLimits" in asked) == ("FILLED", False)
        poor = await ask(socket, "order.place", **signed(customer, **ORDER | {"quantity": "1"}))
        assert (poor["status"], poor["error"]["code"]) == (400, -2010)


async def test_accounts_nobody_follows_gather_no_events(exchange: Running, customer: Customer) -> None:
    account = exchange.gate.spot_market.accounts[customer.api_key]
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        assert account.outbox == []
    for _ in range(500):
        await asyncio.sleep(0.01)
        if account.outbox is None:
            break
    assert account.outbox is None


async def test_events_may_be_lost_repeated_and_late(exchange: Running, customer: Customer) -> None:
    async def condition(kind: str, **more: object) -> None:
        await exchange.control("DELETE", "/paper/faults")
        await exchange.control("POST", "/paper/faults", {"kind": kind, "times": 3} | more)

    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        await condition("events_lost")
        await customer.ok("POST", "/api/v3/order", **ORDER)
        await condition("events_twice")
        await customer.ok("POST", "/api/v3/order", **ORDER)
        rows = [row["event"] for row in await heard(socket, 6)]
        assert rows[0] == rows[1]
        assert len({row["i"] for row in rows if row["e"] == "executionReport"}) == 1
        await condition("events_late", latency_ms=50)
        await customer.ok("POST", "/api/v3/order", **ORDER)
        assert (await ask(socket, "ping"))["result"] == {}  # comes before what is late
        assert {row["subscriptionId"] for row in await heard(socket, 3)} == {0}


async def test_a_cut_stream_is_closed_and_may_be_followed_anew(exchange: Running, customer: Customer) -> None:
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        await follow(socket, customer)
        assert await exchange.control("DELETE", "/paper/streams") == {"streams": 1}
        async with asyncio.timeout(5):
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        assert await follow(socket, customer) == 0


async def test_reads_over_the_socket_lag_as_those_over_rest(exchange: Running, customer: Customer) -> None:
    await exchange.control("POST", "/paper/faults", {"kind": "read_lag", "latency_ms": 60_000, "times": 1})
    placed = await customer.ok("POST", "/api/v3/order", **ORDER)
    query = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    async with exchange.session.ws_connect(exchange.url + "/ws-api/v3") as socket:
        assert (await ask(socket, "order.status", **signed(customer, **query)))["error"]["code"] == -2013
        assert (await ask(socket, "order.status", **signed(customer, **query)))["result"]["status"] == "FILLED"
