"""The whole house in one process with every message delivered twice: nothing is traded, counted or told twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from embedded import house
from embedded.settings import Settings
from shared import keys
from shared.bus import Bus, Envelope, Handler, Queue
from shared.bus.inprocess import InProcessBus
from shared.contracts import Message
from shared.service import State, serving
from shared.web import server
from shared.web.auth import TokenVerifier
from tests.system.conftest import ADMIN, Place, World, free_ports


class Duplicator:
    """A bus that hands every batch over twice, as a broker may after a lost acknowledgement."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.gives_receipts = bus.gives_receipts
        self.twice = 0

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._bus.running()

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        await self._bus.publish(envelopes, within_s=within_s)

    def consuming(self, queue: Queue, handler: Handler) -> AbstractAsyncContextManager[None]:
        async def handle(messages: Sequence[Message]) -> None:
            await handler(messages)
            await handler(messages)
            self.twice += len(messages)

        return self._bus.consuming(queue, handle)

    def waiting_for(self) -> str | None:
        return self._bus.waiting_for()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port = free_ports()
    settings = Settings(
        port=port, data_dir=tmp_path, admin_email=ADMIN["email"], admin_password=SecretStr(ADMIN["password"])
    )
    bus = Duplicator(InProcessBus())
    states = [State(service) for service in house.build(settings, bus)]
    app = server.application(states, TokenVerifier(keys.load_or_make(tmp_path)["TOKEN_PUBLIC_KEY"]))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, "127.0.0.1", port))
        for state in states:
            for part in state.service.parts:
                await stack.enter_async_context(part())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        world = World(Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"), session)
        world.admin = await world.log_in(**ADMIN)
        yield world
        assert bus.twice > 0


async def test_every_message_twice_changes_nothing(world: World) -> None:
    await world.make_bot()
    customers = [await world.make_customer() for _ in range(5)]
    bought = await world.alert()
    assert (bought["total_subscribers"], bought["successful_executions"]) == (5, 5)
    reversed_ = await world.alert(action="sell")
    assert (reversed_["total_subscribers"], reversed_["successful_executions"]) == (5, 5)
    closed = await world.alert(action="close_all", ticker=None)
    assert closed["successful_executions"] == 5
    await asyncio.sleep(0.5)  # whatever was to be doubled has been by now
    for customer in customers:
        state = await world.paper("GET", f"/paper/accounts/{customer.api_key}")
        sides = [row["side"] for row in state["orders"] if row["book"] == "order"]
        assert sides == ["BUY", "SELL", "SELL", "BUY"]
        assert await world.exchange(customer) == (Decimal(0), {})
        positions = (await world.ask("GET", "/api/v1/positions?status=closed", token=customer.token))["items"]
        assert len(positions) == 2
    records = (await world.ask("GET", "/api/v1/executions?limit=200", token=world.admin))["items"]
    assert len(records) == 15
    assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin)) == {"ok": True, "records": 15}
