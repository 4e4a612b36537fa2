"""One connection to the broker, kept open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from shared.errors import leaked_cancellation
from shared.service import background

RECONNECT_AFTER_S = 0.5
_HEARTBEAT_S = 5  # a dead peer is noticed after 3 × (5 + 1) s
_CONNECT_WITHIN_S = 10.0

log = structlog.get_logger()


class Lost(Exception):
    """The connection or channel is gone."""


@contextmanager
def losing() -> Iterator[None]:
    """Turns everything that a dying connection raises into Lost."""
    try:
        yield
    except asyncio.CancelledError as error:
        if not leaked_cancellation():
            raise
        raise Lost("cancelled by a dead connection") from error
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        raise Lost(repr(error)) from error


T = TypeVar("T")


class Link(Generic[T]):
    """One connection, opened again whenever it is lost, with what `prepare` makes of it.

    `prepare` gets the connection and an event to set when something that it opened is lost.
    """

    def __init__(
        self, url: str, name: str, prepare: Callable[[AbstractConnection, asyncio.Event], Awaitable[T]]
    ) -> None:
        self.current: T | None = None
        self._url = url
        self._name = name
        self._prepare = prepare
        self._up = asyncio.Event()

    async def session(self) -> T:
        """What `prepare` made; waits for a broker that is away."""
        while self.current is None:
            await self._up.wait()
        return self.current

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stay connected for the length of the block; waits for the first connection."""
        async with background(self._name, self._keep):
            await self.session()
            yield

    async def _keep(self) -> None:
        while True:
            try:
                with losing():
                    await self._hold_one()
            except Lost as error:
                log.warning("broker_lost", connection=self._name, again_in_s=RECONNECT_AFTER_S, reason=str(error))
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _hold_one(self) -> None:
        connection = await aio_pika.connect(
            self._url, timeout=_CONNECT_WITHIN_S, heartbeat=_HEARTBEAT_S, name=self._name
        )
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            self.current = await self._prepare(connection, lost)
            self._up.set()
            log.info("broker_connected", connection=self._name)
            await lost.wait()
            raise Lost("closed")
        finally:
            self.current = None
            self._up.clear()
            await connection.close()
