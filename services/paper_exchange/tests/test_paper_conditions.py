"""Conditions of the fault script: reads that lag, clocks that are off, streams that lose and repeat; and bans."""

import asyncio
import json
import time
from typing import Any

from services.paper_exchange.errors import Refused
from services.paper_exchange.limits import REFUSALS_BEFORE_BAN, WeightCount
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTCUSDT"
ORDER: dict[str, Any] = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}


async def hold(exchange: Running, kind: str, **more: object) -> None:
    await exchange.control("POST", "/paper/faults", {"kind": kind, "times": 0} | more)


async def test_reads_lag_behind_an_execution_and_then_catch_up(exchange: Running, customer: Customer) -> None:
    await hold(exchange, "read_lag", latency_ms=400)
    placed = await customer.market("BUY", "0.010", newClientOrderId="e1")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    query = {"symbol": BTC, "origClientOrderId": "e1"}
    assert await customer.refused("GET", "/fapi/v1/order", **query) == -2013
    assert await customer.ok("GET", "/fapi/v3/positionRisk") == []
    assert await customer.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC) == []
    assert await customer.ok("GET", "/fapi/v1/userTrades", symbol=BTC) == []
    await asyncio.sleep(0.45)
    assert (await customer.ok("GET", "/fapi/v1/order", **query))["orderId"] == placed["orderId"]
    assert len(await customer.ok("GET", "/fapi/v3/positionRisk")) == 1
    assert len(await customer.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC)) == 1


async def test_reads_lag_behind_a_price_move_for_one_key_and_one_path_only(
    exchange: Running, customer: Customer
) -> None:
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    match = {"path": "/fapi/v1/openAlgoOrders", "api_key": customer.api_key}
    await hold(exchange, "read_lag", latency_ms=60_000, match=match)
    await exchange.move(BTC, "92000")
    assert len(await customer.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC)) == 1
    assert await customer.ok("GET", "/fapi/v3/positionRisk") == []
    await exchange.control("DELETE", "/paper/faults")
    assert await customer.ok("GET", "/fapi/v1/openAlgoOrders", symbol=BTC) == []


async def test_spot_reads_lag_too(exchange: Running, customer: Customer) -> None:
    await hold(exchange, "read_lag", latency_ms=60_000)
    await customer.ok("POST", "/api/v3/order", **ORDER, newClientOrderId="e1")
    assert await customer.refused("GET", "/api/v3/order", symbol=BTC, origClientOrderId="e1") == -2013


async def test_a_fresh_position_is_not_yet_known_to_the_conditional_book(exchange: Running, customer: Customer) -> None:
    await hold(exchange, "gte_lag", latency_ms=300)
    await customer.market("BUY", "0.010")
    stop = customer.algo("SELL", "STOP_MARKET", "93000", "s1")
    assert await customer.refused("POST", "/fapi/v1/algoOrder", **stop) == -4509
    reducing = customer.algo("SELL", "STOP_MARKET", "93000", "s2", quantity="0.010", reduceOnly="true")
    await customer.ok("POST", "/fapi/v1/algoOrder", **reducing)
    await asyncio.sleep(0.35)
    await customer.ok("POST", "/fapi/v1/algoOrder", **stop)


async def test_an_id_once_used_may_be_refused_for_good(exchange: Running, customer: Customer) -> None:
    reducing = {"quantity": "0.010", "reduceOnly": "true"}
    stop = await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1", **reducing)
    await customer.ok("DELETE", "/fapi/v1/algoOrder", algoId=stop["algoId"])
    again = customer.algo("SELL", "STOP_MARKET", "93000", "s1", **reducing)
    await hold(exchange, "strict_ids")
    assert await customer.refused("POST", "/fapi/v1/algoOrder", **again) == -4116
    await exchange.control("DELETE", "/paper/faults")
    await customer.ok("POST", "/fapi/v1/algoOrder", **again)


async def test_a_symbol_that_does_not_trade_takes_only_what_reduces_and_closed_nothing(
    exchange: Running, customer: Customer
) -> None:
    await customer.market("BUY", "0.020")
    await exchange.control("PUT", f"/paper/symbols/{BTC}", {"status": "SETTLING"})
    shown = {row["symbol"]: row["status"] for row in (await customer.ok("GET", "/fapi/v1/exchangeInfo"))["symbols"]}
    assert (shown[BTC], shown["ETHUSDT"]) == ("SETTLING", "TRADING")
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER) == -4140
    await customer.market("SELL", "0.010", reduceOnly="true")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    await exchange.control("PUT", f"/paper/symbols/{BTC}", {"status": "CLOSE"})
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER | {"side": "SELL", "reduceOnly": "true"}) == -4141
    await exchange.control("PUT", f"/paper/symbols/{BTC}", {"status": "TRADING"})
    await customer.market("BUY", "0.010")


async def test_the_clock_is_off_for_everything_or_for_the_matching_engine_alone(
    exchange: Running, customer: Customer
) -> None:
    await hold(exchange, "clock_skew", skew_ms=10_000)
    told = (await customer.ok("GET", "/fapi/v1/time"))["serverTime"]
    assert abs(told - time.time() * 1000 - 10_000) < 2_000
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER) == -1021
    status, _ = await customer.call("POST", "/fapi/v1/order", **ORDER | {"timestamp": told})
    assert status == 200
    await exchange.control("DELETE", "/paper/faults")
    await hold(exchange, "clock_skew", skew_ms=-10_000)
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER) == -1021
    await exchange.control("DELETE", "/paper/faults")
    await hold(exchange, "engine_skew", skew_ms=10_000)
    assert await customer.refused("POST", "/fapi/v1/order", **ORDER) == -5028
    assert len((await customer.book())["orders"]) == 1


async def events_of(exchange: Running, customer: Customer, *faults: dict[str, object]) -> list[str]:
    """The kinds of events of one leverage change, one fill and the end of the stream."""
    key = (await customer.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        for fault in faults:
            await exchange.control("POST", "/paper/faults", fault)
        await customer.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=10)
        await customer.market("BUY", "0.010")
        await asyncio.sleep(0.15)
        await customer.ok("DELETE", "/fapi/v1/listenKey")
        kinds: list[str] = []
        async with asyncio.timeout(5):
            while "listenKeyExpired" not in kinds:
                kinds.append(json.loads((await socket.receive()).data)["e"])
    return kinds[:-1]


async def test_events_are_lost_doubled_and_late(exchange: Running, customer: Customer) -> None:
    fill = ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    assert await events_of(exchange, customer, {"kind": "events_lost", "times": 2}) == fill[1:]
    twice = ["ACCOUNT_CONFIG_UPDATE"] * 2
    assert await events_of(exchange, customer, {"kind": "events_twice"}) == twice + fill
    late = await events_of(exchange, customer, {"kind": "events_late", "latency_ms": 100})
    assert late == [*fill, "ACCOUNT_CONFIG_UPDATE"]


async def test_a_combined_socket_may_leave_its_events_unnamed(exchange: Running, customer: Customer) -> None:
    key = (await customer.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
    url = f"{exchange.url}/private/stream?listenKey={key}"
    await hold(exchange, "bare_stream", times=1)
    async with exchange.session.ws_connect(url) as bare, exchange.session.ws_connect(url) as named:
        await customer.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=10)
        async with asyncio.timeout(5):
            told, named_told = [json.loads((await socket.receive()).data) for socket in (bare, named)]
    assert told["e"] == "ACCOUNT_CONFIG_UPDATE"
    assert named_told == {"stream": key, "data": told}


async def test_streams_can_be_cut_and_the_listen_key_lives_on(exchange: Running, customer: Customer) -> None:
    key = (await customer.ok("POST", "/fapi/v1/listenKey"))["listenKey"]
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        assert await exchange.control("DELETE", "/paper/streams") == {"streams": 1}
        async with asyncio.timeout(5):
            await socket.receive()
        assert socket.closed
    assert (await customer.ok("PUT", "/fapi/v1/listenKey"))["listenKey"] == key


def test_who_ignores_429_is_banned_for_two_minutes_and_then_for_longer() -> None:
    weights, now = WeightCount(100, enforced=True), 1_000_000 * 60_000

    def ask(at: int) -> Refused | None:
        try:
            weights.check("10.0.0.1", weights.add("10.0.0.1", 51, at), at)
        except Refused as refusal:
            return refusal
        return None

    assert ask(now) is None
    refusals = [ask(now + 10_000) for _ in range(REFUSALS_BEFORE_BAN + 1)]
    assert [(r.status, r.code) for r in refusals[:-1] if r] == [(429, -1003)] * REFUSALS_BEFORE_BAN
    assert refusals[1] is not None
    assert refusals[1].headers == {"Retry-After": "51"}
    last = refusals[-1]
    assert last is not None
    assert (last.status, last.headers["Retry-After"]) == (418, "121")
    assert f"IP(10.0.0.1) banned until {now + 130_000}" in last.message
    later = ask(now + 70_000)
    assert later is not None
    assert later.status == 418
    assert ask(now + 131_000) is None
    again = [ask(now + 132_000) for _ in range(REFUSALS_BEFORE_BAN + 1)][-1]
    assert again is not None
    assert f"banned until {now + 132_000 + 240_000}" in again.message
