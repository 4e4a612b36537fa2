"""PostgreSQL and RabbitMQ out of reach for some seconds while signals flow: everything settles, nothing is doubled."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import pytest

from shared.bus.tests.support import Wire, wire
from tests.system.conftest import ADMIN, Place, World
from tests.system.stack import Stack, running_stack
from tests.system.test_lost_messages import a_bot, post, settled
from tools import dead_letters


class Cut:
    """A wire in a thread of its own, since starting processes stops the test's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, line: Wire) -> None:
        self._loop, self._line = loop, line

    def instead_of(self, place: SplitResult) -> str:
        """The same address by way of the wire."""
        who = place.netloc.rpartition("@")[0]
        return place._replace(netloc=f"{who}@127.0.0.1:{self._line.port}").geturl()

    def away(self) -> None:
        self._do(self._line.shut())

    def back(self) -> None:
        self._do(self._line.open())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def cut(url: str) -> Iterator[Cut]:
    place, ready, done, made = urlsplit(url), threading.Event(), asyncio.Event(), list[Cut]()

    async def run() -> None:
        async with wire(place.hostname or "", place.port or 0) as line:
            await line.open()
            made.append(Cut(asyncio.get_running_loop(), line))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
    finally:
        made[0]._loop.call_soon_threadsafe(done.set)
        thread.join(10)


@pytest.fixture
def database_line(stack_database: str) -> Iterator[Cut]:
    with cut(stack_database) as line:
        yield line


@pytest.fixture
def broker_line(virtual_host: str) -> Iterator[Cut]:
    with cut(virtual_host) as line:
        yield line


@pytest.fixture
def stack(
    virtual_host: str, stack_database: str, database_line: Cut, broker_line: Cut, tmp_path: Path
) -> Iterator[Stack]:
    broker, database = (
        broker_line.instead_of(urlsplit(virtual_host)),
        database_line.instead_of(urlsplit(stack_database)),
    )
    with running_stack(broker, database, tmp_path) as stack:
        yield stack


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        world = World(Place(f"http://127.0.0.1:{stack.port}", f"http://127.0.0.1:{stack.port + 1}"), session)
        world.admin = await world.log_in(**ADMIN)
        yield world


@pytest.mark.timeout(120)
async def test_a_database_and_a_broker_out_of_reach_pause_everything_and_lose_nothing(
    world: World, stack: Stack, virtual_host: str, database_line: Cut, broker_line: Cut
) -> None:
    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "95234.50"})
    path, customers = await a_bot(world, 2)

    database_line.away()
    signals = [await post(world, path, "buy")]  # the gateway needs no database
    await asyncio.sleep(4)
    database_line.back()
    assert (await settled(world, signals[0]))["successful_executions"] == 2

    signals.append(await post(world, path, "sell"))
    database_line.away()  # in the middle
    await asyncio.sleep(2)
    database_line.back()
    answer = await settled(world, signals[1])
    assert answer["total_subscribers"] == 2

    broker_line.away()
    gateway = f"http://127.0.0.1:{stack.port + 2}/api/v1/bots/webhook/master/{path}"
    alert = {"ticker": "BTCUSDT", "action": "close", "secret": "minha-senha-super-secreta"}
    async with world.session.post(gateway, json=alert) as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    await asyncio.sleep(3)
    broker_line.back()
    async with asyncio.timeout(20):
        while True:
            async with world.session.post(gateway, json=alert) as again:
                if again.status == 202:
                    signals.append((await again.json())["signal_id"])
                    break
            await asyncio.sleep(0.2)
    assert (await settled(world, signals[2]))["total_subscribers"] == 2

    for customer in customers:
        assert await world.exchange(customer) == (Decimal(0), {})
        orders = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["orders"]
        names = [order["clientOrderId"] for order in orders if order["book"] == "order"]
        entries = [name.rsplit("-", 1)[0] for name in names if name.rsplit("-", 1)[1].startswith("e")]
        assert len(entries) == len(set(entries)), "two entries for one execution"
    assert set((await dead_letters.count(virtual_host)).values()) == {0}, "no message dies of an outage"
    assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin)) == {"ok": True, "records": 6}
