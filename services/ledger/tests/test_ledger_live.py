"""What happens as it happens: the stream and held answers, on the replica that writes and on one that only reads."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientResponse

from conftest import HandClock
from services.ledger import attention, feed
from services.ledger.store.reader import Reader
from services.ledger.tests.ledger_builders import (
    ADMIN,
    House,
    attended,
    bearer,
    customer,
    dispatched,
    finished,
    needed,
    on_sqlite,
    opened,
    received,
    running,
    subscribed,
)
from shared.bus.inprocess import InProcessBus
from shared.db.database import Database
from shared.web.auth import Identity

ANA, BO = customer(1), customer(2)


@pytest.fixture(params=["the writer", "another replica"])
async def reader(
    request: pytest.FixtureRequest, house: House, make_database: Callable[[str], Database], clock: HandClock
) -> AsyncIterator[House]:
    """Where the questions are asked."""
    if request.param == "the writer":
        yield house
        return
    async with running(make_database("ledger"), InProcessBus(()), clock, consumes=False) as replica:
        yield replica


@asynccontextmanager
async def streaming(house: House, caller: Identity = ADMIN) -> AsyncIterator[ClientResponse]:
    async with house.client.get("/api/v1/stream", headers=bearer(caller)) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield response


async def event(stream: ClientResponse) -> dict[str, str]:
    """The next event's fields."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(10):
        while True:
            line = (await stream.content.readline()).decode()
            assert line, "the stream ended"
            if line.strip() and not line.startswith(":"):
                name, _, value = line.strip().partition(": ")
                fields[name] = value
            elif fields:
                return fields


async def test_the_stream_tells_who_needs_attention_to_those_whom_it_concerns(house: House, reader: House) -> None:
    async with streaming(reader, ANA) as stream:
        await house.hear(needed(uuid4(), uuid4(), user_id=BO.user_id))
        await house.hear(needed(UUID(int=7), uuid4(), user_id=ANA.user_id))
        told = await event(stream)
    assert (told["event"], json.loads(told["data"])["id"]) == ("attention", str(UUID(int=7)))


async def test_the_stream_shows_what_the_lists_show(house: House, reader: House) -> None:
    async with streaming(reader) as stream:
        signal_id, subscription_id = uuid4(), uuid4()
        await house.hear(received(signal_id))
        first = await event(stream)
        assert (first["event"], json.loads(first["data"])["status"]) == ("signal", "pending")
        await house.hear(finished(signal_id, subscription_id))
        await house.hear(opened(uuid4(), subscription_id))
        await house.hear(dispatched(signal_id, 1))
        seen = [first]
        latest: dict[str, Any] = {}
        while latest.get("signal", {}).get("status") != "settled" or len(latest) < 3:
            seen.append(await event(stream))
            latest[seen[-1]["event"]] = json.loads(seen[-1]["data"])
    for kind, item in latest.items():
        assert await house.items(f"/{kind}s") == [item]
    numbers = [int(fields["id"]) for fields in seen]
    assert numbers == sorted(set(numbers))


async def test_the_stream_shows_a_customer_only_what_is_theirs(house: House, reader: House) -> None:
    other_bot = UUID(int=0xB1)
    await house.hear(subscribed(ANA.user_id), subscribed(BO.user_id, bot_id=other_bot))
    async with streaming(reader, ANA) as of_ana, streaming(reader, BO) as of_bo:
        here, there = uuid4(), uuid4()
        mine = finished(here, uuid4(), user_id=ANA.user_id)
        theirs = finished(there, uuid4(), user_id=BO.user_id, bot_id=other_bot)
        await house.hear(mine, theirs, opened(UUID(int=1), uuid4(), user_id=ANA.user_id))
        await house.hear(opened(UUID(int=2), uuid4(), user_id=BO.user_id))
        await house.hear(received(here), received(there, bot_id=other_bot))
        for stream, expected in (
            (of_ana, {mine.execution_id, UUID(int=1), here}),
            (of_bo, {theirs.execution_id, UUID(int=2), there}),
        ):
            seen = [UUID(json.loads((await event(stream))["data"])["id"]) for _ in expected]
            assert set(seen) == expected


@on_sqlite
async def test_a_browser_may_send_its_token_in_the_address(house: House) -> None:
    token = bearer(ANA)["Authorization"].partition(" ")[2]
    async with house.client.get(
        f"/api/v1/stream?access_token={token}", headers={"Accept": "text/event-stream"}
    ) as response:
        assert response.status == 200


@on_sqlite
async def test_a_silent_stream_has_a_heartbeat(database: Database, bus: InProcessBus, clock: HandClock) -> None:
    async with running(database, bus, clock, stream_heartbeat_s=0.02) as house, streaming(house) as stream:
        assert (await stream.content.readline()).startswith(b":")


@on_sqlite
async def test_a_reader_that_falls_behind_is_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_BACKLOG", 3)
    async with streaming(house) as stream, streaming(house, ANA) as modest:
        await house.hear(
            finished(uuid4(), uuid4(), user_id=ANA.user_id), *(finished(uuid4(), uuid4()) for _ in range(9))
        )
        async with asyncio.timeout(10):
            assert await stream.content.read() == b""
        assert (await event(modest))["event"] == "execution"


@on_sqlite
async def test_streams_end_when_the_ledger_drains(database: Database, bus: InProcessBus, clock: HandClock) -> None:
    async with (
        running(database, bus, clock) as house,
        house.client.get("/api/v1/stream", headers=bearer(ADMIN)) as response,
    ):
        ending = asyncio.create_task(response.content.read())
        await asyncio.sleep(0)
        assert not ending.done()
    async with asyncio.timeout(10):
        await asyncio.wait([ending])


async def test_waiting_holds_until_the_signal_is_settled(house: House, reader: House) -> None:
    signal_id = uuid4()
    held = asyncio.create_task(reader.ask(f"/signals/{signal_id}?wait=30"))
    for fact in (received(signal_id), finished(signal_id, uuid4()), dispatched(signal_id, 2)):
        await house.hear(fact)
    status, signal = await house.ask(f"/signals/{signal_id}")
    assert signal["status"] == "pending"
    await asyncio.sleep(0.03)
    assert not held.done()
    await house.hear(finished(signal_id, uuid4()))
    async with asyncio.timeout(10):
        status, signal = await held
    assert (status, signal["status"], signal["successful_executions"]) == (200, "settled", 2)


@on_sqlite
async def test_waiting_for_what_is_settled_answers_at_once(house: House) -> None:
    signal_id = uuid4()
    await house.hear(received(signal_id), dispatched(signal_id, 0))
    async with asyncio.timeout(10):
        status, signal = await house.ask(f"/signals/{signal_id}?wait=30")
    assert (status, signal["status"]) == (200, "settled")


@on_sqlite
async def test_waiting_ends_with_what_is_known(house: House) -> None:
    signal_id = uuid4()
    await house.hear(received(signal_id))
    status, signal = await house.ask(f"/signals/{signal_id}?wait=0.02")
    assert (status, signal["status"]) == (200, "pending")
    assert (await house.ask(f"/signals/{uuid4()}?wait=0.02"))[0] == 404


@on_sqlite
async def test_waiting_shows_nobody_what_is_not_theirs(house: House) -> None:
    signal_id = uuid4()
    await house.hear(subscribed(ANA.user_id), received(signal_id))
    held = asyncio.create_task(house.ask(f"/signals/{signal_id}?wait=0.05", BO))
    await house.hear(dispatched(signal_id, 0))
    assert (await held)[0] == 404
    assert (await house.ask(f"/signals/{signal_id}?wait=1", ANA))[0] == 200


async def test_the_number_of_those_who_need_attention_is_kept_true(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_EVERY_S", 0.02)
    signal_id, waiting = uuid4(), [uuid4(), uuid4()]
    async with attention.counting(Reader(house.database)):
        await house.hear(*(needed(id_, signal_id) for id_ in waiting))
        await _until(lambda: attention.WAITING._value.get() == 2)
        await house.hear(attended(waiting[0], signal_id))
        await _until(lambda: attention.WAITING._value.get() == 1)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
