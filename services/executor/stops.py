"""Stops: where no new entry is made, for all executors alike, until a person allows it again.

The breaker makes them (`breaker`): refusals are noted per account, and the account that makes the number full stops
entries of its environment and market. Exits, protections and unwindings never ask here.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.executor import breaker
from services.executor.outcomes import Answer, NoAnswer
from services.executor.tables import refusals, stops
from services.executor.why import Why
from shared.clock import Clock, monotonic_ms
from shared.contracts import EntriesAllowed, EntriesStopped, Environment, Job, MarketType
from shared.db.database import Database
from shared.errors import Transient
from shared.ids import derived, fresh
from shared.service import background

_WITHIN = timedelta(minutes=10)
_LOOK_EVERY_S = 0.9
_FRESH_MS = 2_000  # longer than between two looks: what holds back an entry eats of its window

log = structlog.get_logger()
_stopped = Gauge("tradecast_entries_stopped", "whether new entries are stopped", ["environment", "market"])

Where = tuple[Environment, MarketType]


class Stops:
    """What is stopped, known about a second after it was, and never later than two."""

    def __init__(self, database: Database, clock: Clock, accounts: int) -> None:
        """`accounts`: how many must meet the same refusal within ten minutes before entries stop."""
        self._database = database
        self._clock = clock
        self._accounts = accounts
        self._open: dict[Where, Why] = {}
        self._read_ms = -_FRESH_MS
        self._reading = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the gauge and what `remarks` tells up to date for the length of the block."""
        async with background("executor.stops", self._look):
            yield

    async def _look(self) -> None:
        while True:
            await self._read()
            await asyncio.sleep(_LOOK_EVERY_S)

    def remarks(self) -> Sequence[str]:
        """A sentence per stop."""
        return tuple(f"{market}, {environment}: {why.words.en}" for (environment, market), why in self._open.items())

    async def why(self, job: Job) -> Why | None:
        """Why a job may not enter; null when it may. Raises Transient."""
        async with self._reading:
            if monotonic_ms() - self._read_ms >= _FRESH_MS:
                await self._read()
        return self._open.get((job.environment, job.config.market_type))

    async def _read(self) -> None:
        asked_ms = monotonic_ms()
        query = select(stops.c.environment, stops.c.market, stops.c.exchange_code, stops.c.said).where(
            stops.c.allowed_at.is_(None)
        )
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(query)).all()
        for where in self._open:
            _stopped.labels(*where).set(0)
        self._open = {(row.environment, row.market): breaker.stopped(row.exchange_code, row.said) for row in rows}
        self._read_ms = asked_ms
        for where in self._open:
            _stopped.labels(*where).set(1)

    async def heed(self, job: Job, reply: Answer | NoAnswer) -> None:
        """Take note of a protection that was not placed, and stop entries when enough accounts met the same.

        It stands between a naked position and the next try, so it raises nothing: what cannot be noted now is noted
        at the next refusal.
        """
        code = breaker.unforeseen(reply, job.config.market_type)
        if code is None:
            return
        try:
            await self._note(job, code)
            if await self._met_by(job, code) >= self._accounts:
                await self._stop(job, code, reply.message)
        except Transient as error:
            log.warning("refusal_not_noted", code=code, reason=str(error))

    async def _note(self, job: Job, code: int) -> None:
        row = {
            "environment": job.environment,
            "market": job.config.market_type,
            "code": code,
            "exchange_account_id": job.exchange_account_id,
            "refused_at": self._clock.now(),
        }
        async with self._database.transaction() as tx:
            note = _dialect(tx.connection).insert(refusals).values(row)
            key = list(refusals.primary_key.columns)
            await tx.connection.execute(
                note.on_conflict_do_update(index_elements=key, set_={"refused_at": row["refused_at"]})
            )

    async def _met_by(self, job: Job, code: int) -> int:
        """How many accounts met it lately; asked after the commit, so that the last of several sees all of them."""
        query = select(func.count()).where(
            refusals.c.environment == job.environment,
            refusals.c.market == job.config.market_type,
            refusals.c.code == code,
            refusals.c.refused_at > self._clock.now() - _WITHIN,
        )
        async with self._database.transaction() as tx:
            return (await tx.connection.execute(query)).scalar_one()

    async def _stop(self, job: Job, code: int, said: str) -> None:
        market, now = job.config.market_type, self._clock.now()
        row = {
            "id": fresh(),
            "scope": "platform",
            "environment": job.environment,
            "market": market,
            "exchange_code": code,
            "said": said,
            "stopped_at": now,
        }
        async with self._database.transaction() as tx:
            stop = _dialect(tx.connection).insert(stops).values(row).on_conflict_do_nothing()
            if (await tx.connection.execute(stop)).rowcount != 1:
                return  # stopped already
            fact = EntriesStopped(
                id=derived("stopped", row["id"]),
                occurred_at=now,
                stop_id=row["id"],
                environment=job.environment,
                market_type=market,
                exchange_code=code,
                message=breaker.stopped(code, said).words.en,
            )
            tx.publish(fact)
        where = {"environment": job.environment, "market": market}
        log.error("entries_stopped", stop_id=str(row["id"]), **where, code=code, said=said)
        await self._read()

    async def allow(self, stop_id: UUID, by: UUID) -> None:
        """Let entries be made again, and forget the refusals that stopped them; nothing where that has been done."""
        now = self._clock.now()
        lift = (
            update(stops)
            .where(stops.c.id == stop_id, stops.c.allowed_at.is_(None))
            .values(allowed_at=now, allowed_by=by)
            .returning(stops.c.environment, stops.c.market)
        )
        async with self._database.transaction() as tx:
            lifted = (await tx.connection.execute(lift)).one_or_none()
            if lifted is None:
                return
            here = (refusals.c.environment == lifted.environment, refusals.c.market == lifted.market)
            await tx.connection.execute(delete(refusals).where(*here))
            tx.publish(EntriesAllowed(id=derived("allowed", stop_id), occurred_at=now, stop_id=stop_id, allowed_by=by))
        log.warning("entries_allowed", stop_id=str(stop_id), by=str(by))
        await self._read()


def _dialect(connection: Any) -> Any:
    return postgresql if connection.dialect.name == "postgresql" else sqlite
