"""Running a service: its parts in order, its HTTP server, SIGTERM, exit codes.

A part is an asynchronous context manager: entering it starts something, leaving it drains it. Parts are left in the
reverse order, so what depends on others stands after them.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from shared.errors import Transient, leaked_cancellation

log = structlog.get_logger()

_RESTART_AFTER_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_FORGIVEN_AFTER_S = 30.0
_CANCEL_AGAIN_AFTER_S = 1.0
_DRAIN_WITHIN_S = 22.0  # of the 25 s that an operator gives a process to end

Part = AbstractAsyncContextManager[None]
WaitingFor = Callable[[], str | Awaitable[str | None] | None]


@dataclass(frozen=True, slots=True)
class Service:
    """What an `app.build` returns: ready to run, not running.

    `waiting_for` are its readiness checks: each says what is missing, in words, or null. `remarks` are told beside
    them: what an operator should know of a service that does its work.
    """

    name: str
    parts: Sequence[Callable[[], Part]]
    waiting_for: Sequence[WaitingFor] = ()
    remarks: Callable[[], Sequence[str]] = tuple
    mount: Callable[[web.Application], None] = lambda _app: None


@dataclass(slots=True)
class State:
    """Where a running service stands, as its probes tell it."""

    service: Service
    started: bool = False
    draining: bool = field(default=False)

    async def waiting_for(self) -> str | None:
        """What the service waits for, null when it can do its work now."""
        if self.draining:
            return "shutting down"
        if not self.started:
            return "starting"
        for check in self.service.waiting_for:
            missing = check()
            if isinstance(missing, Awaitable):
                missing = await missing
            if missing is not None:
                return missing
        return None


@asynccontextmanager
async def background(name: str, loop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run an endless loop beside the block and cancel it at its end.

    A loop that raises is logged and begun again after a growing pause: one bad moment must not end a service's work
    in silence, and everything a loop does is safe to do again.
    """

    async def keep_running() -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await loop()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and not leaked_cancellation():
                    raise
                failures = 0 if asyncio.get_running_loop().time() - began > _FORGIVEN_AFTER_S else failures
                pause = _RESTART_AFTER_S[min(failures, len(_RESTART_AFTER_S) - 1)]
                failures += 1
                log.warning(
                    "loop_begins_again",
                    loop=name,
                    after_s=pause,
                    reason=str(error),
                    exc_info=not isinstance(error, Transient),  # what is away needs no traceback
                )
                await asyncio.sleep(pause)

    task = asyncio.create_task(keep_running(), name=name)
    try:
        yield
    finally:
        while not task.done():  # a cancellation can get lost: Python 3.11's wait_for returns if it was just done
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_AGAIN_AFTER_S)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve HTTP for the length of the block. Raises OSError when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


async def run(states: Sequence[State], app: web.Application, host: str, port: int) -> None:
    """Serve the probes at once, start all parts, work until SIGTERM or SIGINT, then drain and return."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(app, host, port), AsyncExitStack() as stack:
        starting = asyncio.create_task(_start(states, stack))
        await _first(starting, stop)
        if not stop.is_set():
            log.info("service_started", services=[state.service.name for state in states], port=port)
            await stop.wait()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        for state in states:
            state.draining = True
        log.info("service_draining")
        try:
            async with asyncio.timeout(_DRAIN_WITHIN_S):
                await stack.aclose()
        except TimeoutError:
            log.error("drain_timed_out")


async def _start(states: Sequence[State], stack: AsyncExitStack) -> None:
    for state in states:
        for part in state.service.parts:
            await stack.enter_async_context(part())
        state.started = True


async def _first(starting: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
