import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from shared import service
from shared.service import Part, Service, State, background, serving
from shared.web.server import application


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Diary:
    """Parts that write down when they begin and end."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def part(self, name: str) -> Callable[[], Part]:
        @asynccontextmanager
        async def running() -> AsyncIterator[None]:
            self.entries.append(f"{name} begins")
            try:
                yield
            finally:
                self.entries.append(f"{name} ends")

        return running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def probe(port: int, path: str) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.json()


async def test_a_loop_that_fails_is_begun_again_and_ends_with_its_block() -> None:
    runs, ended = 0, asyncio.Event()

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("one bad moment")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with background("test", loop):
        await until(lambda: runs == 3)
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_cancellation_that_leaks_from_a_library_does_not_end_a_loop() -> None:
    runs = 0

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    async with background("test", loop):
        await until(lambda: runs == 2)


async def test_a_loop_whose_library_swallows_the_cancellation_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def loop() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(service, "_CANCEL_AGAIN_AFTER_S", 0.01)
    async with asyncio.timeout(5), background("test", loop):
        await asyncio.sleep(0)


async def test_what_the_block_of_a_loop_raises_goes_through() -> None:
    with pytest.raises(LookupError):
        async with background("test", asyncio.Event().wait):  # type: ignore[arg-type]
            raise LookupError


async def test_a_service_starts_its_parts_in_order_and_drains_them_in_the_reverse(port: int) -> None:
    diary = Diary()
    states = [
        State(Service("one", [diary.part("database"), diary.part("bus")])),
        State(Service("two", [diary.part("consumer")])),
    ]
    running = asyncio.create_task(service.run(states, application(states), "127.0.0.1", port))
    await until(lambda: states[1].started)
    assert await probe(port, "/readyz") == (200, {"status": "ready"})
    assert diary.entries == ["database begins", "bus begins", "consumer begins"]
    signal.raise_signal(signal.SIGTERM)
    await running
    assert diary.entries[3:] == ["consumer ends", "bus ends", "database ends"]


async def test_the_probes_answer_while_a_part_is_still_starting_and_while_one_drains(port: int) -> None:
    there, may_leave, leaving = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        await there.wait()
        yield
        leaving.set()
        await may_leave.wait()

    states = [State(Service("slow", [slow]))]
    running = asyncio.create_task(service.run(states, application(states), "127.0.0.1", port))
    await asyncio.sleep(0.02)
    assert await probe(port, "/healthz") == (200, {"status": "alive"})
    assert await probe(port, "/readyz") == (503, {"status": "waiting", "for": "starting"})
    there.set()
    await until(lambda: states[0].started)
    signal.raise_signal(signal.SIGTERM)
    await leaving.wait()
    assert await probe(port, "/readyz") == (503, {"status": "waiting", "for": "shutting down"})
    may_leave.set()
    await running


async def test_readiness_says_what_is_missing_first(port: int) -> None:
    missing: list[str | None] = [None, "database ledger is away"]

    async def check(number: int) -> str | None:
        return missing[number]

    checks = (lambda: check(0), lambda: check(1))
    states = [State(Service("one", [], waiting_for=checks), started=True)]
    async with serving(application(states), "127.0.0.1", port):
        assert await probe(port, "/readyz") == (503, {"status": "waiting", "for": "database ledger is away"})
        missing[1] = None
        assert await probe(port, "/readyz") == (200, {"status": "ready"})


async def test_what_an_operator_should_know_stands_beside_readiness_and_does_not_end_it(port: int) -> None:
    states = [State(Service("one", [], remarks=lambda: ["entries are stopped"]), started=True)]
    async with serving(application(states), "127.0.0.1", port):
        assert await probe(port, "/readyz") == (200, {"status": "ready", "remarks": ["entries are stopped"]})


async def test_a_stop_while_a_part_still_starts_ends_those_that_had_begun(port: int) -> None:
    diary = Diary()

    @asynccontextmanager
    async def never() -> AsyncIterator[None]:
        diary.entries.append("waiting")
        await asyncio.Event().wait()
        yield

    states = [State(Service("one", [diary.part("database"), never]))]
    running = asyncio.create_task(service.run(states, application(states), "127.0.0.1", port))
    await until(lambda: "waiting" in diary.entries)
    signal.raise_signal(signal.SIGTERM)
    await running
    assert diary.entries == ["database begins", "waiting", "database ends"]


async def test_a_part_that_cannot_start_ends_the_process_and_the_parts_before_it(port: int) -> None:
    diary = Diary()

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise LookupError
        yield

    states = [State(Service("one", [diary.part("database"), broken]))]
    with pytest.raises(LookupError):
        await service.run(states, application(states), "127.0.0.1", port)
    assert diary.entries == ["database begins", "database ends"]


async def test_a_part_that_does_not_drain_in_time_is_cancelled_and_those_before_it_still_end(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_DRAIN_WITHIN_S", 0.05)
    diary = Diary()

    @asynccontextmanager
    async def stuck() -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    states = [State(Service("one", [diary.part("database"), stuck]))]
    running = asyncio.create_task(service.run(states, application(states), "127.0.0.1", port))
    await until(lambda: states[0].started)
    signal.raise_signal(signal.SIGINT)
    await running
    assert diary.entries == ["database begins", "database ends"]


async def test_a_taken_port_is_an_error(port: int) -> None:
    async with serving(web.Application(), "127.0.0.1", port):
        with pytest.raises(OSError, match=str(port)):
            async with serving(web.Application(), "127.0.0.1", port):
                pytest.fail("two servers on one port")
