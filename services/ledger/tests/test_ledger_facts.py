"""Facts into tables, on both databases."""

import asyncio
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from conftest import HandClock
from services.ledger.consume import Facts
from services.ledger.store import audit
from services.ledger.tables import executions, heads, metadata, outbox, positions, records, signals, subscriptions
from services.ledger.tests.ledger_builders import dispatched, finished, opened, received
from services.ledger.tests.test_ledger_projection import FACTS
from shared.contracts import ExecutionFinished, Message, SignalSettled, parse
from shared.db import migrate
from shared.db.database import Database
from shared.errors import Transient


@pytest.fixture
def facts(database: Database, clock: HandClock) -> Facts:
    return Facts(database, clock, 60, written=lambda: None)


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.transaction() as tx:
        found = await tx.connection.execute(select(table))
        return [dict(row) for row in found.mappings()]


async def left(database: Database) -> list[Message]:
    return [parse(row["type"], row["body"]) for row in await rows(database, outbox)]


async def test_the_migrations_make_the_tables(database: Database) -> None:
    assert await migrate.difference(database, metadata) == []


async def test_an_execution_becomes_a_record_and_a_row(database: Database, facts: Facts, clock: HandClock) -> None:
    clock.forward(seconds=1.5)
    fact = finished(uuid4(), uuid4(), exchange_code=-2019, error_code="insufficient_margin")
    await facts.handle([fact])
    (row,) = await rows(database, executions)
    assert {name: row[name] for name in ExecutionFinished.model_fields if name in row} == fact.model_dump(
        exclude={"id", "occurred_at"}
    )
    (record,) = await rows(database, records)
    assert '"executed_price":"95234.5"' in record["body"]
    assert '"recorded_at":"2026-11-22T12:00:01.500000Z"' in record["body"]
    (end,) = await rows(database, heads)
    assert (end["position"], end["hash"]) == (1, record["hash"])


@pytest.mark.parametrize("seed", range(2))
async def test_shuffled_and_repeated_facts_give_the_same_tables_and_settle_once(
    database: Database, facts: Facts, seed: int
) -> None:
    shuffle = random.Random(seed)
    messages = FACTS * 2
    shuffle.shuffle(messages)
    while messages:
        size = shuffle.randint(1, 8)
        await facts.handle(messages[:size])
        messages = messages[size:]
    counted = {
        row["signal_id"].int: (row["successful_executions"], row["failed_executions"], row["skipped_executions"])
        for row in await rows(database, signals)
    }
    assert counted == {1: (2, 1, 1), 2: (0, 0, 0), 3: (1, 0, 0)}
    assert {row["position_id"].int: row["close_reason"] for row in await rows(database, positions)} == {
        11: "take_profit",
        12: None,
    }
    assert {row["user_id"].int: row["is_deleted"] for row in await rows(database, subscriptions)} == {
        21: True,
        22: False,
    }
    settled = {message.signal_id.int for message in await left(database) if isinstance(message, SignalSettled)}
    assert settled == {1, 2}
    assert await audit.verify(database) == audit.Verdict(5, None)


async def test_amounts_survive_exactly(database: Database, facts: Facts) -> None:
    price = Decimal("0.000012345678901234567890")
    await facts.handle([finished(uuid4(), uuid4(), executed_price=price, executed_quantity=Decimal("1E+3"))])
    (row,) = await rows(database, executions)
    assert (row["executed_price"], row["executed_quantity"]) == (price, Decimal(1000))
    assert (await audit.verify(database)).flaw is None


async def test_a_batch_of_five_hundred_costs_few_statements(database: Database, facts: Facts) -> None:
    statements: list[str] = []
    event.listen(
        database.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]), named=False
    )
    signal_ids = [uuid4() for _ in range(5)]
    batch: list[Message] = [finished(signal_ids[number % 5], uuid4()) for number in range(480)]
    batch += [received(signal_id) for signal_id in signal_ids] + [dispatched(id_, 96) for id_ in signal_ids]
    batch += [opened(uuid4(), uuid4()) for _ in range(10)]
    await facts.handle(batch)
    assert len(statements) <= 12
    assert len(await left(database)) == 5
    assert await audit.verify(database) == audit.Verdict(480, None)


async def test_two_writers_at_once_make_one_chain(database: Database, clock: HandClock) -> None:
    writers = [Facts(database, clock, 60, written=lambda: None) for _ in range(2)]
    signal_id = uuid4()
    batches = [[finished(signal_id, UUID(int=number)) for number in range(at, at + 20)] for at in range(0, 100, 10)]
    await asyncio.gather(*(writers[number % 2].handle(batch) for number, batch in enumerate(batches)))
    await writers[0].handle([dispatched(signal_id, 110)])
    assert await audit.verify(database) == audit.Verdict(110, None)
    (signal,) = await rows(database, signals)
    assert signal["successful_executions"] == 110
    assert len(await left(database)) == 1


async def test_the_database_itself_refuses_to_change_a_record(database: Database, facts: Facts) -> None:
    await facts.handle([finished(uuid4(), uuid4())])
    on_postgresql = database.engine.dialect.name == "postgresql"
    name = "ledger.records" if on_postgresql else "records"
    for tampering in (f"UPDATE {name} SET body = 'x'", f"DELETE FROM {name}", f"TRUNCATE {name}"):
        if tampering.startswith("TRUNCATE") and not on_postgresql:
            continue  # SQLite has no such statement
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.transaction() as tx:
                await tx.connection.execute(text(tampering))
    assert len(await rows(database, records)) == 1


async def test_nothing_is_sealed_over_a_foreign_record_and_nothing_is_lost(database: Database, facts: Facts) -> None:
    await facts.handle([finished(uuid4(), uuid4())])
    async with database.transaction() as tx:
        foreign = {"position": 2, "execution_id": uuid4(), "body": "{}", "hash": "0" * 64}
        await tx.connection.execute(insert(records), [foreign])
    with pytest.raises(Transient, match="did not seal"):
        await facts.handle([finished(uuid4(), uuid4(), ticker="ETHUSDT")])
    assert len(await rows(database, executions)) == 1


async def test_a_signal_is_kept_whole_to_be_told_again_until_it_is_dispatched(
    database: Database, facts: Facts, clock: HandClock
) -> None:
    fact = received(uuid4()).model_copy(update={"payload": {"comment": "as it came", "price": 95234.5}})
    for _ in range(2):
        await facts.handle([fact])
    (row,) = await rows(database, outbox)
    assert parse(row["type"], row["body"]) == fact
    assert row["claimed_until"] == clock.now() + timedelta(seconds=60), "not before its time"
    await facts.handle([dispatched(fact.signal.signal_id, 3)])
    assert await left(database) == []


async def test_a_signal_dispatched_already_is_not_kept(database: Database, facts: Facts) -> None:
    signal_ids = [uuid4(), uuid4()]
    await facts.handle([received(signal_ids[0]), dispatched(signal_ids[0], 3)])
    await facts.handle([dispatched(signal_ids[1], 3)])
    await facts.handle([received(signal_ids[1])])
    assert await left(database) == []
