"""Verifying the chain against its head and the read model, in pages: neither memory nor writers are held.

Each page is a transaction of its own. That is sound because what stands below the head that was read first never
changes again, unless somebody tampers with it.
"""

from dataclasses import dataclass

from sqlalchemy import func, or_, select, true, union_all

from services.ledger.chain import GENESIS, Claim, Flaw, Head, Reason, Record, Verification, canonical
from services.ledger.projection import RECORDED, RECORDED_WHERE_SET, sealed
from services.ledger.tables import executions, heads, records
from shared.db.database import Database

_FIELDS = (*RECORDED, *RECORDED_WHERE_SET)
_COLUMNS = [executions.c[name] for name in _FIELDS]
_PAGE = 200  # about ten milliseconds of work between two turns of the event loop


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many records there are, and the first bad one if any."""

    records: int
    flaw: Flaw | None


async def verify(database: Database) -> Verdict:
    """Check every record up to the head, and that nothing stands beyond it."""
    stored = select(func.count()).select_from(records).scalar_subquery()
    async with database.transaction() as tx:
        # an outer join, because somebody may have removed the head
        one = select(stored.label("total")).subquery()
        query = select(one.c.total, heads.c.position, heads.c.hash).select_from(one.outerjoin(heads, true()))
        row = (await tx.connection.execute(query)).one()
    total, end = row.total, Head(row.position, row.hash) if row.hash is not None else GENESIS
    verification = Verification(end, total)
    while verification.reached.position < end.position:
        if (flaw := await _page(database, verification)) is not None:
            return Verdict(total, flaw)
    return Verdict(total, await _surplus(database))


async def _page(database: Database, verification: Verification) -> Flaw | None:
    first = verification.reached.position + 1
    stored = select(records).where(records.c.position.between(first, first + _PAGE - 1))
    shown = select(executions.c.position, *_COLUMNS).where(executions.c.position.between(first, first + _PAGE - 1))
    async with database.transaction() as tx:
        stand = (await tx.connection.execute(stored)).all()
        claims = (await tx.connection.execute(shown)).all()
    return verification.page(
        _PAGE,
        [Record(row.position, row.execution_id, row.body, row.hash) for row in stand],
        [
            Claim(position, fields[0], canonical(sealed(dict(zip(_FIELDS, fields, strict=True)))))
            for position, *fields in claims
        ],
    )


async def _surplus(database: Database) -> Flaw | None:
    # one statement, so that the head and what stands beyond it are of the same moment
    end = func.coalesce(select(heads.c.position).scalar_subquery(), 0)
    beyond = union_all(
        *(
            select(table.c.position, table.c.execution_id).where(or_(table.c.position > end, table.c.position < 1))
            for table in (records, executions)
        )
    ).order_by("position")
    async with database.transaction() as tx:
        row = (await tx.connection.execute(beyond.limit(1))).one_or_none()
    return Flaw(row.position, row.execution_id, Reason.INSERTED) if row else None
