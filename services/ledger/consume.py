"""Every fact of the house: sealed and projected, a batch in one transaction."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram

from services.ledger import projection
from services.ledger.store import batch
from shared.clock import Clock
from shared.contracts import Message, SignalReceived
from shared.db.database import Database

RECORDS = Counter("ledger_records_sealed", "Records sealed into the chain.")
BATCH = Histogram("ledger_batch_messages", "Messages per batch.", buckets=(1, 5, 20, 50, 100, 200, 500))
EXECUTIONS = Counter("executions_recorded", "Executions on record, by how they ended.", ["status", "code"])
log = structlog.get_logger()


class Facts:
    """The handler of the ledger's queue."""

    def __init__(self, database: Database, clock: Clock, ask_again_after_s: float, written: Callable[[], None]) -> None:
        """`written` is called after each commit. A signal not dispatched after `ask_again_after_s` is told again."""
        self._database = database
        self._clock = clock
        self._ask_again_after = timedelta(seconds=ask_again_after_s)
        self._written = written

    async def handle(self, messages: Sequence[Message]) -> None:
        """Seal and project a batch. The same fact twice, or facts in another order, make no difference."""
        ids = projection.touched(messages)
        if not ids:
            return
        async with self._database.transaction() as tx:
            tail = await batch.lock(tx)
            now = self._clock.now()
            before = await batch.load(tx, ids)
            after = projection.project(before, messages)
            end = await batch.save(tx, tail, after, now)
            tx.publish(*projection.settled(before, after, messages, now))
            tx.publish(*projection.undispatched(before, after, messages), not_before=now + self._ask_again_after)
            await self._database.outbox.forget(
                tx.connection, projection.newly_dispatched(before, after), (SignalReceived.TYPE,)
            )
        self._written()
        BATCH.observe(len(messages))
        RECORDS.inc(len(after.executions))
        for execution in after.executions:
            EXECUTIONS.labels(execution.status, execution.error_code or "").inc()
        if after.executions:
            # outside the database: whoever rewrites the chain there cannot rewrite this
            log.info("records_sealed", count=len(after.executions), position=end.head.position, hash=end.head.hash)
