"""The fault script, by itself and over real connections."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from services.paper_exchange.faults import Fault, FaultScript, read_fault
from services.paper_exchange.tests.exchange_client import Customer, Running

ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
PATH, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"


async def spoil(exchange: Running, kind: str | None = None, **more: object) -> None:
    await exchange.control("POST", "/paper/faults", {"match": {"method": "POST", "path": PATH}, "kind": kind} | more)


@pytest.mark.parametrize(
    ("kind", "more", "status", "answer", "orders"),
    [
        ("http_503_unknown", {}, 503, {"msg": "Unknown error, please check your request or try again later."}, 1),
        ("http_503_failed", {}, 503, {"msg": "Service Unavailable."}, 0),
        ("error", {"code": -2019}, 400, {"code": -2019, "msg": "Margin is insufficient."}, 0),
        ("error", {"code": -1007}, 408, None, 0),
        ("error", {"code": -2015}, 401, None, 0),
        ("http_503_failed", {"code": -1008}, 503, None, 0),
        ("http_429", {}, 429, None, 0),
        ("error", {"code": -1007, "executed": True}, 408, None, 1),
        ("error", {"code": -1006, "executed": True}, 500, None, 1),
        ("error", {"code": -2010, "message": "Said otherwise."}, 400, {"code": -2010, "msg": "Said otherwise."}, 0),
        ("http_503_unknown", {"executed": False}, 503, None, 0),
        ("http_408", {}, 408, None, 0),
        ("http_408", {"executed": True}, 408, None, 1),
        ("overload", {}, 503, None, 0),
    ],
)
async def test_each_fault_answers_and_executes_as_it_says(
    exchange: Running, customer: Customer, kind: str, more: dict[str, object], status: int, answer: object, orders: int
) -> None:
    await spoil(exchange, kind, **more)
    got_status, got = await customer.call("POST", PATH, **ORDER)
    assert got_status == status
    assert answer is None or got == answer
    assert len((await customer.book())["orders"]) == orders
    assert (await customer.call("POST", PATH, **ORDER))[0] == 200


@pytest.mark.parametrize(("kind", "orders"), [("timeout_before", 0), ("timeout_after", 1)])
async def test_a_silent_connection_blocks_nobody_else(
    exchange: Running, customer: Customer, kind: str, orders: int
) -> None:
    await spoil(exchange, kind)
    waiting = asyncio.create_task(customer.call("POST", PATH, **ORDER))
    await asyncio.sleep(0.1)
    assert len((await customer.book())["orders"]) == orders
    assert (await customer.call("POST", PATH, **ORDER))[0] == 200
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_late_order_is_carried_out_after_the_client_has_left(exchange: Running, customer: Customer) -> None:
    await spoil(exchange, "late", latency_ms=300)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(customer.call("POST", PATH, **ORDER), 0.1)
    assert (await customer.book())["orders"] == []
    await asyncio.sleep(0.4)
    assert len((await customer.book())["orders"]) == 1


async def test_an_order_held_up_longer_than_its_window_is_refused_by_the_matching_engine(
    exchange: Running, customer: Customer
) -> None:
    await spoil(exchange, "late", latency_ms=300)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(customer.call("POST", PATH, **ORDER, recvWindow=200), 0.1)
    await asyncio.sleep(0.4)
    assert (await customer.book())["orders"] == []


async def test_a_conditional_order_held_up_beyond_its_window_is_taken_all_the_same(
    exchange: Running, customer: Customer
) -> None:
    await exchange.control("POST", "/paper/faults", {"kind": "late", "latency_ms": 300, "match": {"path": ALGO}})
    stop = customer.algo("SELL", "STOP_MARKET", "93000", "s1", quantity="0.010", reduceOnly="true")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(customer.call("POST", ALGO, **stop, recvWindow=200), 0.1)
    await asyncio.sleep(0.4)
    assert [row["clientAlgoId"] for row in (await customer.book())["open_algo_orders"]] == ["s1"]


@pytest.mark.parametrize(
    ("kind", "title"),
    [("http_403", "403 Forbidden"), ("http_502", "502 Bad Gateway"), ("http_504", "504 Gateway Time-out")],
)
async def test_an_error_of_the_machine_in_front_is_a_page_of_html(exchange: Running, kind: str, title: str) -> None:
    await spoil(exchange, kind)
    async with exchange.session.post(exchange.url + PATH) as response:
        assert (f"{response.status}", response.content_type) == (title[:3], "text/html")
        assert title in await response.text()


@pytest.mark.parametrize(("kind", "orders"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_connection_is_cut_at_once(exchange: Running, customer: Customer, kind: str, orders: int) -> None:
    await spoil(exchange, kind)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asyncio.wait_for(customer.call("POST", PATH, **ORDER), 2)
    assert len((await customer.book())["orders"]) == orders


async def test_a_ban_names_its_end_and_how_long_to_wait(exchange: Running, customer: Customer) -> None:
    await spoil(exchange, "http_418", retry_after_s=7)
    status, answer = await customer.call("POST", PATH, **ORDER)
    assert (status, answer["code"], customer.headers["Retry-After"]) == (418, -1003, "7")
    banned_until = int(answer["msg"].partition("banned until ")[2].partition(".")[0])
    assert 0 < banned_until - time.time() * 1000 <= 7000


async def test_overload_lets_through_what_only_reduces(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    await spoil(exchange, "overload", times=0)
    assert await customer.refused("POST", PATH, **ORDER) == -1008
    await customer.market("SELL", "0.010", reduceOnly="true")
    hedged = await exchange.customer(hedge_mode=True)
    assert await hedged.refused("POST", PATH, **ORDER, positionSide="LONG") == -1008
    assert await hedged.refused("POST", PATH, **ORDER | {"side": "SELL"}, positionSide="LONG") == -2022


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "no_such"},
        {"kind": "late"},
        {"kind": "error"},
        {"kind": "http_429", "wrong": 1},
        {"kind": "http_429", "executed": "yes"},
        {"kind": "timeout_after", "executed": False},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"kind|field|needed|executed"):
        read_fault(document)


@pytest.mark.parametrize("kind", ["latency", None])
async def test_latency_alone_is_only_slowness(exchange: Running, customer: Customer, kind: str | None) -> None:
    await spoil(exchange, kind, latency_ms=150)
    began = time.monotonic()
    assert (await customer.call("POST", PATH, **ORDER))[0] == 200
    assert 0.14 < time.monotonic() - began < 2
    assert len((await customer.book())["orders"]) == 1


async def test_a_fault_meets_only_what_it_matches_until_it_is_deleted(exchange: Running, customer: Customer) -> None:
    fault = {"kind": "http_429", "match": {"api_key": customer.api_key, "path": "/fapi/v3"}, "times": 0}
    await exchange.control("POST", "/paper/faults", fault)
    other = await exchange.customer()
    assert (await other.call("GET", "/fapi/v3/account"))[0] == 200
    assert (await customer.call("GET", "/fapi/v1/openOrders"))[0] == 200
    assert [(await customer.call("GET", "/fapi/v3/account"))[0] for _ in range(3)] == [429] * 3
    await exchange.control("DELETE", "/paper/faults")
    assert (await customer.call("GET", "/fapi/v3/account"))[0] == 200


def test_times_count_down_in_the_order_of_the_script() -> None:
    script = FaultScript()
    script.add(read_fault({"kind": "http_503_failed", "times": 2}))
    script.add(Fault("http_429", method="GET"))
    kinds = [fault.kind if (fault := script.take("GET", "/x", "")) else None for _ in range(4)]
    assert kinds == ["http_503_failed", "http_503_failed", "http_429", None]


@pytest.mark.parametrize("times", [0, -1, None])
def test_times_below_one_mean_for_ever(times: int | None) -> None:
    assert read_fault({"kind": "http_429", "times": times}).times is None
