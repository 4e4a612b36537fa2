"""The user-data stream over real WebSockets."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from services.paper_exchange.tests.exchange_client import Customer, Running


async def listen_key(customer: Customer, method: str = "POST") -> str:
    status, answer = await customer.send(method, "/fapi/v1/listenKey")
    assert status == 200, answer
    key: str = answer.get("listenKey", "")
    return key


async def heard(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [await socket.receive_json() for _ in range(count)]


async def silence(socket: aiohttp.ClientWebSocketResponse) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await socket.receive()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("path", ["/private/ws?listenKey={}", "/private/ws/{}", "/ws/{}", "/ws?listenKey={}"])
async def test_a_market_fill_is_told_in_the_live_order(exchange: Running, customer: Customer, path: str) -> None:
    key = await listen_key(customer)
    async with exchange.session.ws_connect(exchange.url + path.format(key)) as socket:
        await customer.market("BUY", "0.010", newClientOrderId="e1")
        lite, new, account, filled = await heard(socket, 4)
    assert [e["e"] for e in (lite, new, account, filled)] == [
        "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE",
    ]  # fmt: skip
    assert len({event["T"] for event in (lite, new, account, filled)}) == 1
    assert (new["o"]["x"], new["o"]["X"], new["o"]["z"], new["o"]["t"]) == ("NEW", "NEW", "0", 0)
    assert (filled["o"]["x"], filled["o"]["X"], filled["o"]["ap"]) == ("TRADE", "FILLED", "95234.5")
    assert (filled["o"]["n"], filled["o"]["N"], filled["o"]["er"]) == ("0.380938", "USDT", "0")
    assert lite["t"] == filled["o"]["t"]
    assert list(account["a"]) == ["B", "P", "m"]
    position = account["a"]["P"][0]
    assert (position["pa"], position["ep"], position["ma"], account["a"]["m"]) == ("0.01", "95234.5", "USDT", "ORDER")


async def test_a_triggered_target_tells_the_algo_its_child_and_its_sibling(
    exchange: Running, customer: Customer
) -> None:
    key = await listen_key(customer)
    await customer.market("BUY", "0.010")
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
        await customer.place_algo("SELL", "TAKE_PROFIT_MARKET", "99000", "t1")
        await exchange.move("BTCUSDT", "99100")
        events = await heard(socket, 10)
    states = [(e["o"]["caid"], e["o"]["X"]) for e in events if e["e"] == "ALGO_UPDATE"]
    assert states == [
        ("s1", "NEW"), ("t1", "NEW"), ("t1", "TRIGGERING"), ("t1", "TRIGGERED"), ("t1", "FINISHED"), ("s1", "EXPIRED"),
    ]  # fmt: skip
    finished = events[-2]["o"]
    assert (finished["ap"], finished["aq"], finished["act"], finished["R"]) == ("99100", "0.01", "MARKET", True)
    child = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert (child["c"], str(child["i"]), child["rp"]) == ("t1", finished["ai"], "38.655")


async def test_events_is_an_allow_list(exchange: Running, customer: Customer) -> None:
    key = await listen_key(customer)
    url = f"{exchange.url}/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/listenKeyExpired"
    async with exchange.session.ws_connect(url) as socket:
        await customer.market("BUY", "0.010")
        await listen_key(customer, "DELETE")
        assert [event["e"] for event in await heard(socket, 2)] == ["ACCOUNT_UPDATE", "listenKeyExpired"]


async def test_one_combined_socket_follows_many_accounts(exchange: Running, customer: Customer) -> None:
    other = await exchange.customer()
    first, second = await listen_key(customer), await listen_key(other)
    query = f"listenKey={first}&events=ACCOUNT_UPDATE&listenKey={second}&events=ACCOUNT_CONFIG_UPDATE"
    async with exchange.session.ws_connect(f"{exchange.url}/private/stream?{query}") as socket:
        await customer.market("BUY", "0.010")
        await other.market("BUY", "0.010")
        await other.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
        one, two = await heard(socket, 2)
    assert (one["stream"], one["data"]["e"]) == (first, "ACCOUNT_UPDATE")
    assert (two["stream"], two["data"]["ac"]) == (second, {"s": "BTCUSDT", "l": 7})


async def test_a_bogus_key_connects_and_hears_nothing(exchange: Running, customer: Customer) -> None:
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey=bogus") as socket:
        await customer.market("BUY", "0.010")
        assert await silence(socket)


async def test_subscribe_and_unsubscribe_frames(exchange: Running, customer: Customer) -> None:
    key = await listen_key(customer)
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
        assert await heard(socket, 1) == [{"result": None, "id": 1}]
        await customer.market("BUY", "0.010")
        assert len(await heard(socket, 4)) == 4
        await socket.send_json({"method": "UNSUBSCRIBE", "params": [key], "id": 2})
        await heard(socket, 1)
        await customer.market("BUY", "0.010")
        assert await silence(socket)


async def test_listen_keys_are_one_per_account_and_end(exchange: Running, customer: Customer) -> None:
    key = await listen_key(customer)
    assert await listen_key(customer) == key == await listen_key(customer, "PUT")
    exchange.gate.hub.keys[key].expires_ms = 0
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        exchange.gate.hub.expire()
        (event,) = await heard(socket, 1)
        assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
    status, answer = await customer.send("PUT", "/fapi/v1/listenKey")
    assert (status, answer["code"]) == (400, -1125)
    assert await listen_key(customer) != key


async def test_accounts_nobody_listens_to_gather_no_events(exchange: Running, customer: Customer) -> None:
    key = await listen_key(customer)
    account = exchange.gate.market.accounts[customer.api_key]
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}"):
        assert account.outbox == []
    for _ in range(500):
        await asyncio.sleep(0.01)
        if account.outbox is None:
            break
    assert account.outbox is None


async def test_a_liquidation_is_told_as_one(exchange: Running) -> None:
    customer = await exchange.customer(balance_usdt=6000)
    key = await listen_key(customer)
    await customer.market("BUY", "1")
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws/{key}") as socket:
        await exchange.move("BTCUSDT", "89500")
        events = await heard(socket, 4)
    order = events[3]["o"]
    assert (order["x"], order["X"], order["c"][:10]) == ("CALCULATED", "FILLED", "autoclose-")


async def test_an_order_that_fills_in_part_is_told_trade_by_trade_and_then_expires(
    exchange: Running, customer: Customer
) -> None:
    key = (await customer.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        fills = [{"share_pct": "40"}, {"share_pct": "30", "worse_pct": "0.1"}]
        await exchange.control("PUT", "/paper/books/BTCUSDT", {"fills": fills})
        await customer.market("BUY", "0.010")
        async with asyncio.timeout(5):
            events = [json.loads((await socket.receive()).data) for _ in range(8)]
    kinds = ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    assert [event["e"] for event in events] == [*kinds, "TRADE_LITE", *kinds[2:], "ORDER_TRADE_UPDATE"]
    told = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
    assert [(o["x"], o["X"], o["l"], o["z"], o["er"]) for o in told] == [
        ("NEW", "NEW", "0", "0", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.004", "0.004", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.003", "0.007", "0"),
        ("EXPIRED", "EXPIRED", "0", "0.007", "9"),
    ]
    assert told[1]["t"] != told[2]["t"]
