"""Waiting for signals to settle, for callers that ask for it with `Prefer: wait=N` (RFC 7240)."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from shared.contracts import SignalSettled

_WAIT_MAX_S = 30
_WAIT = re.compile(r'\s*wait\s*=\s*"?0*([0-9]*)"?\s*(;.*)?', re.IGNORECASE)

Waiter = asyncio.Future[SignalSettled | None]


def asked_wait_s(prefer: Sequence[str]) -> int | None:
    """How many seconds the `Prefer` headers ask to wait, 30 at most; null for none and for what is no number."""
    for preference in ",".join(prefer).split(","):
        if (found := _WAIT.fullmatch(preference)) is not None:
            digits = found.group(1)[:3]  # enough to know that it is more than the most
            return min(int(digits), _WAIT_MAX_S) if digits else None
    return None


class Settling:
    """Who waits for which signal."""

    def __init__(self) -> None:
        self._waiters: defaultdict[UUID, set[Waiter]] = defaultdict(set)
        self._closing = False

    @contextmanager
    def expecting(self, signal_id: UUID) -> Iterator[Waiter]:
        """A future of the signal's end; null when the gateway shuts down first. Ask before publishing the signal."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._closing:
            waiter.set_result(None)
        self._waiters[signal_id].add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[signal_id].discard(waiter)
            if not self._waiters[signal_id]:
                del self._waiters[signal_id]

    def announce(self, settled: SignalSettled) -> None:
        """Tell whoever waits for this signal."""
        for waiter in self._waiters.get(settled.signal_id, ()):
            _resolve(waiter, settled)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end of the block nobody waits any longer: a shutdown has less time than a waiter."""
        yield
        self._closing = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                _resolve(waiter, None)


def _resolve(waiter: Waiter, outcome: SignalSettled | None) -> None:
    if not waiter.done():
        waiter.set_result(outcome)
