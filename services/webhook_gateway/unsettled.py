"""Signals that this gateway accepted and has not heard the end of.

A broker may lose its queues in the moment between our 202 and the first reader. The gateway has no database, so it
remembers in memory, and tells again what is not settled in its time; readers know a signal that they have.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.webhook_gateway import metrics
from shared.bus import Bus, Envelope, told_again_after_s
from shared.contracts import SignalReceived
from shared.errors import Transient
from shared.service import background

_REMEMBERED_MAX = 20_000  # some 40 MB; the oldest are forgotten first
_LOOK_EVERY_S = 0.5
_PUBLISH_WITHIN_S = 3.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    envelope: Envelope
    told: int
    due: float


class Unsettled:
    """What is remembered, by signal."""

    def __init__(self, bus: Bus, ask_again_after_s: float) -> None:
        self._bus = bus
        self._ask_again_after_s = ask_again_after_s
        self._waiting: dict[UUID, _Waiting] = {}

    def remember(self, message: SignalReceived) -> None:
        """Call before publishing it: its end may be heard before `publish` returns."""
        if not self._bus.gives_receipts:
            return  # there, `publish` returns when its readers have stored it
        while len(self._waiting) >= _REMEMBERED_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[message.signal.signal_id] = _Waiting(Envelope.of(message), 0, self._due_s(0))

    def forget(self, signal_id: UUID) -> None:
        """It is settled, or was not accepted."""
        self._waiting.pop(signal_id, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell again for the length of the block."""
        async with background("webhook_gateway.unsettled", self._run):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = asyncio.get_running_loop().time()
            for signal_id, waiting in list(self._waiting.items()):
                if waiting.due <= now:
                    await self._tell(signal_id, waiting)

    async def _tell(self, signal_id: UUID, waiting: _Waiting) -> None:
        try:
            await self._bus.publish([waiting.envelope], within_s=_PUBLISH_WITHIN_S)
        except Transient as error:
            log.warning("signal_not_told_again", signal_id=str(signal_id), reason=str(error))
            waiting.due = asyncio.get_running_loop().time() + self._ask_again_after_s
            return
        waiting.told += 1
        waiting.due = self._due_s(waiting.told)
        metrics.TOLD_AGAIN.inc()
        log.warning("signal_told_again", signal_id=str(signal_id), told=waiting.told)

    def _due_s(self, told: int) -> float:
        return asyncio.get_running_loop().time() + told_again_after_s(told, self._ask_again_after_s)
