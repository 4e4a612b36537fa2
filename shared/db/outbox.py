"""The outbox: messages stored by the transaction that causes them, published by the relay, kept until they arrived.

Several relays may share a table: a row is claimed for `_CLAIM_S` before it is published. If its relay dies in between,
another publishes it again: at least once, and receivers know duplicates by their id.

Arrived means settled by its receiver, not only confirmed by the broker, which may lose its queues. In process that is
when `publish` returns. Over RabbitMQ the receiver's bus gives a receipt; until then the row stays, claimed for longer
and longer, and is published again whenever its claim ends. So whatever the broker loses, the databases still know.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
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

from shared.bus import Bus, Envelope, Handler, Queue, told_again_after_s
from shared.bus.topology import answered_by
from shared.clock import Clock
from shared.contracts import MESSAGES, Message, ReceiptGiven
from shared.db.types import UtcTime
from shared.errors import Transient
from shared.service import background

if TYPE_CHECKING:
    from shared.db.database import Database

_CLAIM_S = 5.0
_PUBLISH_WITHIN_S = 3.0  # below the claim, so that a slow publish ends before another relay may begin
_BATCH = 500
_IDS_PER_STATEMENT = 5_000  # asyncpg and SQLite take some 32,000 parameters at most
_POLL_S = 1.0

log = structlog.get_logger()
_told_again = Counter(
    "tradecast_outbox_told_again_total", "messages published again for want of a receipt", ["schema", "type"]
)


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
        Column("told", Integer, nullable=False, server_default="0"),  # how often it was published and confirmed
        Index("ix_outbox_message_id", "message_id"),
    )


class Outbox:
    """The outbox table of one schema and the bell that wakes its relay."""

    def __init__(self, schema: str) -> None:
        self.table = outbox_table(MetaData(schema=schema))
        self.probe: Select[tuple[int]] = select(self.table.c.position).limit(1)
        self._bell = asyncio.Event()

    async def add(self, connection: AsyncConnection, messages: Sequence[tuple[Message, datetime | None]]) -> None:
        """Store messages, each with the moment before which it is not published, by the transaction of `connection`."""
        rows = [
            {"message_id": envelope.id, "type": envelope.type, "body": envelope.body, "claimed_until": not_before}
            for envelope, not_before in ((Envelope.of(message), not_before) for message, not_before in messages)
        ]
        await connection.execute(insert(self.table), rows)

    async def forget(self, connection: AsyncConnection, message_ids: Sequence[UUID], types: Collection[str]) -> None:
        """Delete messages that have arrived. Those of other types than `types` wait for somebody else's receipt."""
        for start in range(0, len(message_ids), _IDS_PER_STATEMENT):
            named = self.table.c.message_id.in_(message_ids[start : start + _IDS_PER_STATEMENT])
            arrived = self.locked(named & self.table.c.type.in_(types))
            await connection.execute(delete(self.table).where(self.table.c.position.in_(select(arrived.c.position))))

    def locked(self, condition: ColumnElement[bool]) -> CTE:
        """The positions that meet `condition`, locked in their order, so that nobody waits in a circle."""
        return select(self.table.c.position).where(condition).order_by(self.table.c.position).with_for_update().cte()

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


def on_receipts(database: "Database") -> Handler:
    """The handler of a service's queue of receipts."""

    async def handle(messages: Sequence[Message]) -> None:
        arrived: dict[str, list[UUID]] = {}
        for message in messages:
            if isinstance(message, ReceiptGiven):
                arrived.setdefault(message.queue, []).extend(message.message_ids)
        async with database.transaction() as tx:
            for queue, ids in arrived.items():
                await database.outbox.forget(tx.connection, ids, _answered_types(queue))

    return handle


def _answered_types(queue: str) -> list[str]:
    return [type_ for type_ in MESSAGES if _queue_name(answered_by(type_)) == queue]


def _queue_name(queue: Queue | None) -> str | None:
    return queue.name if queue else None


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A message to be published, and how often it was already."""

    envelope: Envelope
    told: int


class Relay:
    """Publishes what stands in the outbox, oldest first."""

    def __init__(self, database: "Database", bus: Bus, clock: Clock, again_after_s: float = 60.0) -> None:
        """`again_after_s`: how long the first receipt is waited for (`told_again_after_s`)."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._again_after_s = again_after_s
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
        try:
            envelopes = [claimed[position].envelope for position in sorted(claimed)]
            await self._bus.publish(envelopes, within_s=_PUBLISH_WITHIN_S)
        except Transient:
            async with self._database.transaction() as tx:  # nobody need wait for the claim to end
                await self._update(tx.connection, claimed, claimed_until=None)
            raise
        await self._told(claimed)
        return True

    async def _told(self, claimed: Mapping[int, _Claimed]) -> None:
        """Keep what waits for a receipt; the rest is over."""
        over = [position for position, row in claimed.items() if not row.envelope.wants_receipt]
        now, table = self._clock.now(), self._database.outbox.table
        async with self._database.transaction() as tx:
            if over:
                await tx.connection.execute(delete(table).where(table.c.position.in_(over)))
            for told in sorted({row.told for row in claimed.values() if row.envelope.wants_receipt}):
                kept = [p for p, row in claimed.items() if row.envelope.wants_receipt and row.told == told]
                pause_s = told_again_after_s(told, self._again_after_s)
                await self._update(
                    tx.connection, kept, claimed_until=now + timedelta(seconds=pause_s), told=table.c.told + 1
                )

    async def _update(self, connection: AsyncConnection, positions: Collection[int], **values: object) -> None:
        table = self._database.outbox.table
        ours = self._database.outbox.locked(table.c.position.in_(positions))
        await connection.execute(update(table).where(table.c.position.in_(select(ours.c.position))).values(values))

    def _read(self, row: Row[*tuple[Any, ...]]) -> _Claimed:
        wants_receipt = self._bus.gives_receipts and answered_by(row.type) is not None
        if row.told:
            _told_again.labels(self._database.schema, row.type).inc()
            log.warning("message_told_again", type=row.type, message_id=str(row.message_id), told=row.told)
        return _Claimed(Envelope(row.message_id, row.type, row.body, wants_receipt), row.told)

    async def _claim(self) -> dict[int, _Claimed]:
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
            .returning(table.c.position, table.c.message_id, table.c.type, table.c.body, table.c.told)
        )
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(claim)).all()
        return {row.position: self._read(row) for row in rows}
