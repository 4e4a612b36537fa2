"""Answering from the read model. `scope` is whose things the caller may see: a user's id, or null for everybody's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Column, RowMapping, Select, Table, exists, func, literal, select, tuple_

from services.ledger.tables import attentions, executions, heads, positions, signals, stops, subscriptions
from shared.db.database import Database

_STOPS_MAX = 100

Key = tuple[int | datetime, UUID]
"""What a list is ordered by: its row's position or time, then its id."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of a list, newest first; `last` is the key to go on after, null at the end."""

    rows: Sequence[RowMapping]
    last: Key | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows as they are now that changed in a range of changes, and who follows their signals' bots."""

    executions: Sequence[RowMapping]
    positions: Sequence[RowMapping]
    attentions: Sequence[RowMapping]
    signals: Sequence[RowMapping]
    followers: dict[UUID, frozenset[UUID]]


class Reader:
    """The questions that the HTTP side asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def signals(self, scope: UUID | None, *, bot_id: UUID | None, after: Key | None, limit: int) -> Slice:
        """Received signals."""
        query = _signals(scope)
        if bot_id is not None:
            query = query.where(signals.c.bot_id == bot_id)
        return await self._slice(query, (signals.c.received_at, signals.c.signal_id), after, limit)

    async def signal(self, signal_id: UUID, scope: UUID | None) -> RowMapping | None:
        """One received signal."""
        return await self._one(_signals(scope).where(signals.c.signal_id == signal_id))

    async def executions(
        self,
        scope: UUID | None,
        *,
        signal_id: UUID | None,
        subscription_id: UUID | None,
        status: str | None,
        after: Key | None,
        limit: int,
    ) -> Slice:
        """Executions, by their place in the chain."""
        query = _owned(executions, scope)
        if signal_id is not None:
            query = query.where(executions.c.signal_id == signal_id)
        if subscription_id is not None:
            query = query.where(executions.c.subscription_id == subscription_id)
        if status is not None:
            query = query.where(executions.c.status == status)
        return await self._slice(query, (executions.c.position, executions.c.execution_id), after, limit)

    async def execution(self, execution_id: UUID, scope: UUID | None) -> RowMapping | None:
        """One execution."""
        return await self._one(_owned(executions, scope).where(executions.c.execution_id == execution_id))

    async def positions(
        self,
        scope: UUID | None,
        *,
        status: Literal["open", "closed"] | None,
        subscription_id: UUID | None,
        after: Key | None,
        limit: int,
    ) -> Slice:
        """Positions whose opening is known."""
        query = _owned(positions, scope).where(positions.c.opened_at.is_not(None))
        if status is not None:
            is_open = positions.c.closed_at.is_(None)
            query = query.where(is_open if status == "open" else ~is_open)
        if subscription_id is not None:
            query = query.where(positions.c.subscription_id == subscription_id)
        return await self._slice(query, (positions.c.opened_at, positions.c.position_id), after, limit)

    async def attentions(
        self, scope: UUID | None, *, status: Literal["waiting", "ended"] | None, after: Key | None, limit: int
    ) -> Slice:
        """Executions that need attention, or did."""
        query = _attentions(scope)
        if status is not None:
            is_waiting = attentions.c.ended_at.is_(None)
            query = query.where(is_waiting if status == "waiting" else ~is_waiting)
        return await self._slice(query, (attentions.c.since, attentions.c.attention_id), after, limit)

    async def needing_attention(self) -> int:
        """How many executions need attention now."""
        waiting = select(func.count()).select_from(attentions)
        waiting = waiting.where(attentions.c.since.is_not(None), attentions.c.ended_at.is_(None))
        async with self._database.transaction() as tx:
            return await tx.connection.scalar(waiting) or 0

    async def stops(self) -> Sequence[RowMapping]:
        """The last hundred stops of entries, those in force first."""
        query = select(stops).where(stops.c.stopped_at.is_not(None))
        query = query.order_by(stops.c.allowed_at.is_not(None), stops.c.stopped_at.desc()).limit(_STOPS_MAX)
        async with self._database.transaction() as tx:
            return (await tx.connection.execute(query)).mappings().all()

    async def last_change(self) -> int:
        """The number of the last change; all up to it are committed."""
        async with self._database.transaction() as tx:
            return await tx.connection.scalar(select(heads.c.change)) or 0

    async def changes(self, after: int, until: int) -> Changes:
        """What changed in `after` < change <= `until`. A row that has changed again since then is not among it."""

        def within(query: Select[Any], table: Table) -> Select[Any]:
            return query.where(table.c.change > after, table.c.change <= until).order_by(table.c.change)

        opened = _owned(positions, None).where(positions.c.opened_at.is_not(None))
        async with self._database.transaction() as tx:
            recorded, moved, doubted, counted = [
                (await tx.connection.execute(within(query, table))).mappings().all()
                for query, table in (
                    (select(executions), executions),
                    (opened, positions),
                    (_attentions(None), attentions),
                    (_signals(None), signals),
                )
            ]
            following = select(subscriptions.c.bot_id, subscriptions.c.user_id).where(
                subscriptions.c.bot_id.in_({row["bot_id"] for row in counted}), ~subscriptions.c.is_deleted
            )
            pairs = (await tx.connection.execute(following)).all() if counted else []
        followers: dict[UUID, set[UUID]] = {}
        for bot_id, user_id in pairs:
            followers.setdefault(bot_id, set()).add(user_id)
        audiences = {bot_id: frozenset(users) for bot_id, users in followers.items()}
        return Changes(recorded, moved, doubted, counted, audiences)

    async def _slice(
        self, query: Select[Any], order: tuple[Column[Any], Column[UUID]], after: Key | None, limit: int
    ) -> Slice:
        if after is not None:
            place = (literal(value, column.type) for value, column in zip(after, order, strict=True))
            query = query.where(tuple_(*order) < tuple_(*place))
        query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(query)).mappings().all()
        shown = rows[:limit]
        time_or_place, id_ = order
        return Slice(shown, (shown[-1][time_or_place], shown[-1][id_]) if len(rows) > limit else None)

    async def _one(self, query: Select[Any]) -> RowMapping | None:
        async with self._database.transaction() as tx:
            row: RowMapping | None = (await tx.connection.execute(query)).mappings().one_or_none()
        return row


def _signals(scope: UUID | None) -> Select[Any]:
    query = select(signals).where(signals.c.received_at.is_not(None))
    if scope is None:
        return query
    follows = exists().where(
        subscriptions.c.bot_id == signals.c.bot_id, subscriptions.c.user_id == scope, ~subscriptions.c.is_deleted
    )
    return query.where(follows)


def _attentions(scope: UUID | None) -> Select[Any]:
    return _owned(attentions, scope).where(attentions.c.since.is_not(None))


def _owned(table: Table, scope: UUID | None) -> Select[Any]:
    query = select(table)
    return query if scope is None else query.where(table.c.user_id == scope)
