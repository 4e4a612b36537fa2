"""Whatever becomes of the messages under way, the databases know what is to be done: every signal ends, once."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from tests.system.conftest import ADMIN, Customer, Place, World, free_ports, started
from tests.system.stack import Stack, running_stack

DISPATCHER, EXECUTOR, LEDGER = "services.bot_registry.dispatcher", "services.executor", "services.ledger"


@pytest.fixture
def stack(virtual_host: str, stack_database: str, tmp_path: Path) -> Iterator[Stack]:
    with running_stack(virtual_host, stack_database, tmp_path, ASK_AGAIN_AFTER_S="1") as stack:
        yield stack


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        world = World(Place(f"http://127.0.0.1:{stack.port}", f"http://127.0.0.1:{stack.port + 1}"), session)
        world.admin = await world.log_in(**ADMIN)
        yield world


async def a_bot(world: World, customers: int) -> tuple[str, list[Customer]]:
    """A bot's webhook path and its customers."""
    await world.make_bot(rate_limit_per_minute=10_000, duplicate_window_seconds=0)
    return world.bot["path"], [await world.make_customer() for _ in range(customers)]


async def post(world: World, path: str, action: str = "buy", gateway: str = "") -> str:
    """Post to the gateway itself: the front may be paused."""
    gateway = gateway or f"http://127.0.0.1:{int(urlsplit(world.place.url).port or 0) + 2}"
    body = {"ticker": "BTCUSDT", "action": action, "secret": "minha-senha-super-secreta", "comment": uuid4().hex}
    async with world.session.post(f"{gateway}/api/v1/bots/webhook/master/{path}", json=body) as answer:
        assert answer.status == 202, await answer.text()
        signal_id: str = (await answer.json())["signal_id"]
        return signal_id


async def settled(world: World, signal_id: str) -> Any:
    async with asyncio.timeout(40):
        while True:
            try:
                status, answer = await world.call("GET", f"/api/v1/signals/{signal_id}", token=world.admin)
                if status == 200 and answer["status"] == "settled":
                    return answer
            except (aiohttp.ClientError, ValueError):
                pass
            await asyncio.sleep(0.1)


async def assert_each_ended_once(world: World, customers: list[Customer], signal_id: str) -> None:
    """In one protected entry, or in none where its process died between the intent and the request."""
    answer = await settled(world, signal_id)
    assert answer["total_subscribers"] == len(customers)
    records = await world.records(signal_id)
    for customer in customers:
        record = records[customer.user_id]
        held, protections = await world.exchange(customer)
        orders = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["orders"]
        entries = sum(order["book"] == "order" for order in orders)
        if record["error_code"] == "not_placed":
            assert held == 0
            assert entries == 0
            assert not protections
        else:
            assert (record["status"], held, entries) == ("success", Decimal("0.010"), 1)
            assert set(protections) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def positions(world: World, customer: Customer, status: str) -> list[Any]:
    items: list[Any] = (await world.ask("GET", f"/api/v1/positions?status={status}", token=customer.token))["items"]
    return items


@pytest.mark.timeout(120)
async def test_a_broker_that_loses_everything_loses_no_signal_and_doubles_none(world: World, stack: Stack) -> None:
    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "95234.50"})
    accepted, dispatched, executed, closed = [await a_bot(world, 2) for _ in range(4)]
    await settled(world, await post(world, closed[0]))

    # Each signal is caught one step further on its way; then all is lost at once.
    stack.pause_restarts()
    stack.kill(LEDGER)
    await post(world, closed[0], "close")
    told = "SELECT count(*) FROM executor.outbox WHERE told > 0 AND type = '{}'"
    await stack.until(told.format("position.closed.v1"), 2)
    signals = [await post(world, executed[0])]
    await stack.until(told.format("execution.finished.v1"), 4)
    stack.kill(EXECUTOR)
    signals.append(await post(world, dispatched[0]))
    jobs = "SELECT count(*) FROM registry.outbox WHERE told > 0 AND type = 'execution.requested.v1'"
    await stack.until(jobs, 1)
    stack.kill(DISPATCHER)
    signals.append(await post(world, accepted[0]))
    await stack.lose_every_message()
    stack.resume_restarts()

    for signal_id, (_, customers) in zip(signals, (executed, dispatched, accepted), strict=True):
        await assert_each_ended_once(world, customers, signal_id)
        assert (await settled(world, signal_id))["successful_executions"] == len(customers)
        for customer in customers:
            assert len(await positions(world, customer, "open")) == 1
    for customer in closed[1]:
        assert [p["close_reason"] for p in await positions(world, customer, "closed")] == ["signal"]
        assert await positions(world, customer, "open") == []

    # And with everybody at work, the queues go away under them again and again.
    path, customers = accepted
    actions = ["close", "buy", "sell", "close", "buy"]
    signals = []
    for number, action in enumerate(actions):
        signals.append(await post(world, path, action))
        await asyncio.sleep(0.01 * number)
        await stack.delete_queues()
        answer = await settled(world, signals[-1])
        assert (answer["total_subscribers"], answer["successful_executions"]) == (2, 2)
    for customer in customers:
        assert (await world.exchange(customer))[0] == Decimal("0.010")
        orders = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["orders"]
        sides = [order["side"] for order in orders if order["book"] == "order"]
        assert sides == ["BUY", "SELL", "BUY", "SELL", "SELL", "BUY", "BUY"]
    records = (await world.ask("GET", "/api/v1/audit/verify", token=world.admin))["records"]
    assert records == 2 * (5 + len(actions))
    left = "SELECT (SELECT count(*) FROM registry.outbox) + (SELECT count(*) FROM executor.outbox)"
    async with asyncio.timeout(20):
        while await stack.count(left):
            await asyncio.sleep(0.2)


async def test_one_process_killed_with_signals_under_way_goes_on_where_it_was(tmp_path: Path) -> None:
    port = free_ports()
    environment = {"PORT": str(port), "DATA_DIR": str(tmp_path), "LOG_LEVEL": "ERROR"} | {
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
    }
    async with aiohttp.ClientSession() as session:
        world = World(Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"), session)
        with started("embedded", environment, ends_with=-signal.SIGKILL) as process:
            world.admin = await world.log_in(**ADMIN)
            bots = [await a_bot(world, 2) for _ in range(2)]
            signals = [await post(world, path, gateway=world.place.url) for path, _ in bots]
            process.kill()  # the second signal has only just been accepted
        with started("embedded", environment):
            for signal_id, (_, customers) in zip(signals, bots, strict=True):
                await assert_each_ended_once(world, customers, signal_id)
