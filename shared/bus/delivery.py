"""How a batch is settled, the same for both transports.

- The handler returns: settled.
- Unreadable, or Poison from a single message: dead at once.
- Transient: held in place and tried again, for as long as it takes; it never counts towards dead-lettering, so that a
  database outage marches nothing into the dead queue.
- Any other exception: a batch is handled again one message at a time; a single message gets three tries, then is dead.
- Cancelled: neither settled nor dead; the transport delivers it again.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from shared.bus import Envelope, Handler, Poison, Queue, Transient
from shared.clock import SystemClock
from shared.contracts import Message, Unreadable, parse
from shared.errors import leaked_cancellation

_HOLD_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_RETRY_AFTER_S = (0.05, 0.2)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be settled, and why; the reason holds nothing of the message's content."""

    envelope: Envelope
    queue: Queue
    reason: str

    def headers(self) -> dict[str, str]:
        """What a transport sends along with the message."""
        return {
            "x-reason": self.reason,
            "x-queue": self.queue.name,
            "x-failed-at": SystemClock().now().isoformat(timespec="milliseconds"),
        }


Bury = Callable[[DeadLetter], Awaitable[None]]
"""Keeps a dead letter safely. Raises Transient while it cannot."""


class _Stopped(Exception):
    """Told to stop while held."""


class Settler:
    """Settles the batches of one consumer. `waiting_for` says what they are held for, null when they are not."""

    def __init__(self, queue: Queue, handler: Handler, bury: Bury) -> None:
        self.waiting_for: str | None = None
        self._queue = queue
        self._handler = handler
        self._bury = bury
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Hold no longer: what cannot be settled now is left to the next consumer."""
        self._stopping.set()

    async def settle(self, batch: Sequence[Envelope]) -> bool:
        """Return when all are handled or buried; False when stopped before, then all must be delivered again."""
        try:
            await self._settle(batch)
        except _Stopped:
            return False
        return True

    async def _settle(self, batch: Sequence[Envelope]) -> None:
        readable: list[tuple[Envelope, Message]] = []
        for envelope in batch:
            try:
                readable.append((envelope, parse(envelope.type, envelope.body)))
            except Unreadable as error:
                await self._give_up(envelope, error)
        if len(readable) > 1:
            try:
                await self._handle([message for _, message in readable])
                return
            except _Stopped:
                raise
            except Exception as error:
                log.warning(
                    "batch_split", queue=self._queue.name, size=len(readable), reason=_reason(error), exc_info=True
                )
        for envelope, message in readable:
            await self._settle_one(envelope, message)

    async def _settle_one(self, envelope: Envelope, message: Message) -> None:
        for pause in (*_RETRY_AFTER_S, None):
            try:
                await self._handle([message])
                return
            except _Stopped:
                raise
            except Exception as error:
                if pause is None or isinstance(error, Poison):
                    await self._give_up(envelope, error)
                    return
                log.warning(
                    "handler_failed",
                    queue=self._queue.name,
                    message_id=str(envelope.id),
                    again_in_s=pause,
                    exc_info=True,
                )
                await asyncio.sleep(pause)

    async def _handle(self, messages: Sequence[Message]) -> None:
        async def work() -> None:
            try:
                await self._handler(messages)
            except asyncio.CancelledError as error:
                if not leaked_cancellation():
                    raise
                raise Transient("a call inside the handler was cancelled") from error

        await self._held(work)

    async def _give_up(self, envelope: Envelope, error: Exception) -> None:
        letter = DeadLetter(envelope, self._queue, _reason(error))
        log.error(
            "message_dead",
            queue=self._queue.name,
            message_id=str(envelope.id),
            type=envelope.type,
            reason=letter.reason,
        )
        await self._held(lambda: self._bury(letter))

    async def _held(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            for pause in _growing():
                try:
                    return await work()
                except Transient as error:
                    self.waiting_for = str(error)
                    log.warning("delivery_held", queue=self._queue.name, again_in_s=pause, reason=str(error))
                await self._sleep(pause)
        finally:
            self.waiting_for = None

    async def _sleep(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise _Stopped


def _growing() -> Iterator[float]:
    yield from _HOLD_S
    while True:
        yield _HOLD_S[-1]


def _reason(error: Exception) -> str:
    if isinstance(error, Poison | Unreadable):
        return f"{type(error).__name__}: {error}"
    # the text of a foreign exception may quote the message, secrets included
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
