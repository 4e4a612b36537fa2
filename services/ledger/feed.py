"""The live feed: follows the numbers of changes in the database, so that every replica shows what any of them wrote.

The process that writes rings, and its own readers hear of a change at once; the others look every `poll_ms`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from services.ledger.store.reader import Changes, Reader
from services.ledger.views import AttentionItem, ExecutionItem, PositionItem, SignalItem
from shared.service import background

_STEP = 500  # changes read and handed out between two turns of the event loop
_BACKLOG = 2 * _STEP


@dataclass(frozen=True, slots=True)
class Event:
    """One row as it is after a change. `audience` are the customers who may see it."""

    change: int
    kind: Literal["signal", "execution", "position", "attention"]
    item: SignalItem | ExecutionItem | PositionItem | AttentionItem
    data: str
    audience: frozenset[UUID]


class Lagging(Exception):
    """The reader fell too far behind, or the feed ended: it hears no more and has to look at the lists again."""


class Listener:
    """One reader's bounded share of the feed."""

    def __init__(self, scope: UUID | None) -> None:
        self._scope = scope
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_BACKLOG)
        self._is_dropped = False

    async def next(self) -> Event:
        """The next event that this reader may see. Raises Lagging when there will be none."""
        event = None if self._is_dropped else await self._events.get()
        if event is None:
            raise Lagging
        return event

    def offer(self, event: Event) -> None:
        """Hand over an event; a reader without room for it is dropped."""
        if self._is_dropped or not (self._scope is None or self._scope in event.audience):
            return
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        """End this reader's share and forget what it has not read."""
        self._is_dropped = True
        while not self._events.empty():
            self._events.get_nowait()
        self._events.put_nowait(None)


class Feed:
    """All readers of this process, and the one loop that reads for them."""

    def __init__(self, reader: Reader, poll_ms: int) -> None:
        self._reader = reader
        self._poll_s = poll_ms / 1000
        self._bell = asyncio.Event()
        self._listeners: set[Listener] = set()
        self._seen: int | None = None

    def ring(self) -> None:
        """Something was written: look now."""
        self._bell.set()

    @asynccontextmanager
    async def listening(self, scope: UUID | None) -> AsyncIterator[Listener]:
        """Hear every change that is committed from now on (and perhaps some from just before).

        Raises Transient when the database has been away since the process began.
        """
        if self._seen is None:
            last = await self._reader.last_change()
            self._seen = last if self._seen is None else self._seen
        listener = Listener(scope)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the database for the length of the block; at its end every reader is let go."""
        try:
            async with background("ledger.feed", self._follow):
                yield
        finally:
            for listener in self._listeners:
                listener.drop()

    async def _follow(self) -> None:
        while True:
            until = await self._reader.last_change()
            if self._seen is None or not self._listeners:
                self._seen = until
            while self._seen < until:
                step = min(self._seen + _STEP, until)
                for event in _events(await self._reader.changes(self._seen, step)):
                    for listener in self._listeners:
                        listener.offer(event)
                self._seen = step
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._bell.clear()


def _events(changes: Changes) -> list[Event]:
    events: list[Event] = []
    for row in changes.executions:
        execution = ExecutionItem.of(row)
        data = execution.model_dump_json()
        events.append(Event(row["change"], "execution", execution, data, frozenset({row["user_id"]})))
    for row in changes.positions:
        position = PositionItem.of(row)
        events.append(
            Event(row["change"], "position", position, position.model_dump_json(), frozenset({row["user_id"]}))
        )
    for row in changes.attentions:
        attention = AttentionItem.of(row)
        events.append(
            Event(row["change"], "attention", attention, attention.model_dump_json(), frozenset({row["user_id"]}))
        )
    for row in changes.signals:
        signal = SignalItem.of(row)
        audience = changes.followers.get(row["bot_id"], frozenset())
        events.append(Event(row["change"], "signal", signal, signal.model_dump_json(), audience))
    return sorted(events, key=lambda event: event.change)
