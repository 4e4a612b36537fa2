"""`signal.received` becomes jobs, or a duplicate: one transaction per signal, its messages in the outbox."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import RowMapping

from services.bot_registry import fanout
from services.bot_registry.dispatcher import store
from services.bot_registry.store import bots
from shared.bus import Poison
from shared.clock import Clock
from shared.contracts import Message, Signal, SignalReceived
from shared.db.database import Database, Transaction

log = structlog.get_logger()

_TERMS = [field.name for field in fields(fanout.Terms)]


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Handles what the gateway accepted. `shuffle` mixes a list in place: no subscriber is always first."""

    database: Database
    clock: Clock
    shuffle: Callable[[list[Any]], None]

    async def on_messages(self, messages: Sequence[Message]) -> None:
        """Dispatch each signal once, however often it is delivered."""
        for message in messages:
            if not isinstance(message, SignalReceived):
                raise Poison(f"the dispatcher takes no {message.TYPE}")
            try:
                await self._dispatch(message.signal)
            except store.AlreadyDispatched:
                log.info("signal_already_dispatched", signal_id=str(message.signal.signal_id))

    async def _dispatch(self, signal: Signal) -> None:
        async with self.database.transaction() as tx:
            bot = await bots.lock(tx.connection, signal.bot_id)  # replicas take a bot's signals one after another
            window = timedelta(seconds=bot["duplicate_window_seconds"] if bot else 0)
            first = await store.find_first(tx.connection, signal, window)
            await store.remember(tx.connection, signal, first)
            messages = list(await self._messages(tx, signal, bot, first))
            tx.publish(*messages)
        duplicate_of = str(first) if first else None
        log.info(
            "signal_dispatched", signal_id=str(signal.signal_id), messages=len(messages), duplicate_of=duplicate_of
        )

    async def _messages(
        self, tx: Transaction, signal: Signal, bot: RowMapping | None, first: UUID | None
    ) -> Iterable[Message]:
        now = self.clock.now()
        if bot is None or bot["status"] != "active":
            return [fanout.dispatched(signal, 0, now, first)]
        if first is not None:
            return fanout.duplicate(signal, first, await store.subscribers(tx.connection, signal.bot_id), now)
        subscribers = await store.lock_subscribers(tx.connection, signal.bot_id)
        self.shuffle(subscribers)
        terms = fanout.Terms(**{name: bot[name] for name in _TERMS})
        plan = fanout.plan(signal, terms, subscribers, now)
        await store.advance_lanes(tx.connection, plan.jobs_by_account)
        return plan.messages
