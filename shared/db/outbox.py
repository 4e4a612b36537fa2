"""The outbox: messages stored by the transaction that causes them, published by the relay, then deleted.

Several relays may share a table: a row is claimed for `_CLAIM_S` before it is published. If its relay dies in between,
another publishes it again: at least once, and receivers know duplicates by their id.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Uuid,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.bus import Bus, Envelope
from shared.clock import Clock
from shared.contracts import Message
from shared.db.types import UtcTime
from shared.errors import Transient
from shared.service import background

if TYPE_CHECKING:
    from shared.db.database import Database

_CLAIM_S = 5.0
_PUBLISH_WITHIN_S = 3.0  # below the claim, so that a slow publish ends before another relay may begin
_BATCH = 500
_POLL_S = 1.0

log = structlog.get_logger()


def outbox_table(metadata: MetaData) -> Table:
    """The outbox of a service's schema."""
    return Table(
        "outbox",
        metadata,
        # SQLite counts up by itself only in an INTEGER key
        Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("message_id", Uuid, nullable=False),
        Column("type", String, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("claimed_until", UtcTime),
    )


class Outbox:
    """The outbox table of one schema and the bell that wakes its relay."""

    def __init__(self, schema: str) -> None:
        self.table = outbox_table(MetaData(schema=schema))
        self.probe: Select[tuple[int]] = select(self.table.c.position).limit(1)
        self._bell = asyncio.Event()

    async def add(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        """Store messages with the transaction of `connection`."""
        rows = [
            {"message_id": envelope.id, "type": envelope.type, "body": envelope.body}
            for envelope in map(Envelope.of, messages)
        ]
        await connection.execute(insert(self.table), rows)

    def ring(self) -> None:
        """Wake the relay now."""
        self._bell.set()

    async def listen(self) -> None:
        """Wait for the bell, a second at most: another process may have died with rows of its own."""
        try:
            async with asyncio.timeout(_POLL_S):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._bell.clear()


class Relay:
    """Publishes what stands in the outbox, oldest first."""

    def __init__(self, database: "Database", bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._one_batch = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay for the length of the block; at its end, what is stored and can be published still is."""
        async with background(f"{self._database.schema}.relay", self._run):
            yield
        try:
            async with asyncio.timeout(_PUBLISH_WITHIN_S):
                while await self._publish_batch():
                    pass
        except (Transient, TimeoutError) as error:
            log.warning("outbox_left_for_the_next_start", schema=self._database.schema, reason=str(error))

    async def _run(self) -> None:
        while True:
            # shielded: cut off in the middle, a batch stays claimed, and SQLite's one connection locked for seconds
            if not await asyncio.shield(self._publish_batch()):
                await self._database.outbox.listen()

    async def _publish_batch(self) -> bool:
        async with self._one_batch:
            return await self._publish_oldest()

    async def _publish_oldest(self) -> bool:
        claimed = await self._claim()
        if not claimed:
            return False
        positions = sorted(claimed)
        ours = self._database.outbox.table.c.position.in_(positions)
        try:
            await self._bus.publish([claimed[position] for position in positions], within_s=_PUBLISH_WITHIN_S)
        except Transient:
            async with self._database.transaction() as tx:  # nobody need wait for the claim to end
                await tx.connection.execute(update(self._database.outbox.table).where(ours).values(claimed_until=None))
            raise
        async with self._database.transaction() as tx:
            await tx.connection.execute(delete(self._database.outbox.table).where(ours))
        return True

    async def _claim(self) -> dict[int, Envelope]:
        table, now = self._database.outbox.table, self._clock.now()
        free = or_(table.c.claimed_until.is_(None), table.c.claimed_until < now)
        # in a CTE: PostgreSQL may evaluate a locking sub-select inside IN more than once
        oldest = (
            select(table.c.position)
            .where(free)
            .order_by(table.c.position)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
            .cte("oldest")
        )
        claim = (
            update(table)
            .where(table.c.position.in_(select(oldest.c.position)))
            .values(claimed_until=now + timedelta(seconds=_CLAIM_S))
            .returning(table.c.position, table.c.message_id, table.c.type, table.c.body)
        )
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(claim)).all()
        return {row.position: Envelope(row.message_id, row.type, row.body) for row in rows}
