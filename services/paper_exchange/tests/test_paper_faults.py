"""The fault script, by itself and over real connections."""

import asyncio
import time
from typing import Any

import pytest

from services.paper_exchange.faults import Fault, FaultScript, read_fault
from services.paper_exchange.tests.exchange_client import Customer, Running

ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
PATH = "/fapi/v1/order"


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
