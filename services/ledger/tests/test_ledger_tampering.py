"""A superuser edits the database directly; the audit finds it, names it and says where."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ColumnElement, Executable, Table, delete, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ledger.store import audit
from services.ledger.tables import executions, heads, records
from services.ledger.tests.ledger_builders import House, customer, finished, on_sqlite

COUNT = 6
FOREIGN = uuid4()
TABLES = (records, executions, heads)


def edit(table: Table, at: int, /, **values: object) -> Executable:
    return update(table).where(table.c.position == at).values(values)


def remove(table: Table, position: int) -> Executable:
    return delete(table).where(table.c.position == position)


def forge(position: int) -> Executable:
    return insert(records).values(position=position, execution_id=FOREIGN, body="{}", hash="0" * 64)


def move(positions: Sequence[int], by: int) -> list[Executable]:
    return [edit(records, position, position=position + by) for position in positions]


def unsealed_row() -> Executable:
    copied: dict[str, ColumnElement[Any]] = {column.name: column for column in executions.c}
    copied |= {"position": literal(7), "execution_id": literal(FOREIGN)}
    return insert(executions).from_select(list(copied), select(*copied.values()).where(executions.c.position == 1))


def head_moved_back() -> Executable:
    hash_ = select(records.c.hash).where(records.c.position == 4).scalar_subquery()
    return update(heads).values(position=4, hash=hash_)


Bad = tuple[int, int | UUID | None, str]
"""Position, whose execution by its original position (or a foreign one's id), reason."""

TAMPERINGS: dict[str, tuple[list[Executable], Bad]] = {
    "a body edited": ([edit(records, 3, body=records.c.body + " ")], (3, 3, "changed")),
    "a hash edited": ([edit(records, 3, hash="0" * 64)], (3, 3, "changed")),
    "an execution's id edited": ([edit(records, 3, execution_id=FOREIGN)], (3, FOREIGN, "changed")),
    "the first deleted": ([remove(records, 1)], (1, 1, "removed")),
    "one deleted": ([remove(records, 4)], (4, 4, "removed")),
    "the last deleted": ([remove(records, COUNT)], (COUNT, COUNT, "removed")),
    "the last deleted with its row": ([remove(records, COUNT), remove(executions, COUNT)], (COUNT, None, "removed")),
    "one deleted, the gap closed": ([remove(records, 2), *move([3, 4, 5, 6], -1)], (2, 2, "removed")),
    "all deleted": ([delete(records)], (1, 1, "removed")),
    "one added at the end": ([forge(COUNT + 1)], (COUNT + 1, FOREIGN, "inserted")),
    "one added before the beginning": ([forge(0)], (0, FOREIGN, "inserted")),
    "one squeezed in": ([*move([6, 5, 4, 3], 1), forge(3)], (3, FOREIGN, "inserted")),
    "two swapped": ([edit(records, 2, position=99), *move([4], -2), *move([99], -95)], (2, 4, "changed")),
    "a price edited": ([edit(executions, 5, executed_price=1)], (5, 5, "changed")),
    "a status edited": ([edit(executions, 5, status="failed")], (5, 5, "changed")),
    "an owner edited": ([edit(executions, 5, user_id=FOREIGN)], (5, 5, "changed")),
    "an empty text for none": ([edit(executions, 5, error_message="")], (5, 5, "changed")),
    "a sentence in Portuguese added": ([edit(executions, 5, error_message_pt="sim")], (5, 5, "changed")),
    "a row deleted": ([remove(executions, 2)], (2, 2, "removed")),
    "a row without a record": ([unsealed_row()], (7, FOREIGN, "inserted")),
    "the head moved back": ([head_moved_back()], (5, 5, "inserted")),
    "the head's hash edited": ([edit(heads, COUNT, hash="0" * 64)], (COUNT, COUNT, "changed")),
    "the head deleted": ([delete(heads)], (1, 1, "inserted")),
}


async def drop_triggers(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text("DROP TRIGGER records_refuse_change ON ledger.records"))
        return
    await connection.execute(text("DROP TRIGGER records_refuse_update"))
    await connection.execute(text("DROP TRIGGER records_refuse_delete"))


async def snapshot(house: House) -> Callable[[AsyncConnection], Awaitable[None]]:
    """What puts the tables back as they are now."""
    async with house.database.transaction() as tx:
        kept = {
            table: [dict(row) for row in (await tx.connection.execute(select(table))).mappings()] for table in TABLES
        }

    async def restore(connection: AsyncConnection) -> None:
        for table, rows in kept.items():
            await connection.execute(delete(table))
            await connection.execute(insert(table), rows)

    return restore


async def test_every_tampering_is_found_located_and_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_PAGE", 2)
    facts = [finished(uuid4(), uuid4()) for _ in range(COUNT)]
    for fact in facts:
        await house.hear(fact)
    restore = await snapshot(house)
    async with house.database.transaction() as tx:
        await drop_triggers(tx.connection)
    for name, (statements, (position, whose, reason)) in TAMPERINGS.items():
        assert await house.ask("/audit/verify") == (200, {"ok": True, "records": COUNT}), f"before {name}"
        async with house.database.transaction() as tx:
            for statement in statements:
                await tx.connection.execute(statement)
        status, found = await house.ask("/audit/verify")
        execution_id = facts[whose - 1].execution_id if isinstance(whose, int) else whose
        bad = {"position": position, "execution_id": execution_id and str(execution_id), "reason": reason}
        assert (status, found["ok"], found["first_bad"]) == (200, False, bad), name
        async with house.database.transaction() as tx:
            await restore(tx.connection)


@on_sqlite
async def test_only_administrators_verify(house: House) -> None:
    status, problem = await house.ask("/audit/verify", customer(1))
    assert (status, problem["code"]) == (403, "forbidden")
