import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, StatementError

from shared.contracts import SubscriptionChanged
from shared.db.database import Database, Transaction
from shared.db.types import Money, UtcTime
from shared.errors import Transient

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)

things = Table(
    "things",
    MetaData(schema="ledger"),
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),
    Column("amount", Money),
    Column("at", UtcTime),
)


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.engine.begin() as connection:
        await connection.run_sync(things.metadata.create_all)
    return database


def a_message() -> SubscriptionChanged:
    return SubscriptionChanged(
        id=uuid4(), occurred_at=NOON, subscription_id=uuid4(), bot_id=uuid4(), user_id=uuid4(), status="active"
    )


async def count(database: Database, table: Table) -> int:
    async with database.engine.connect() as connection:
        return (await connection.scalar(select(func.count()).select_from(table))) or 0


@pytest.mark.parametrize(
    "amount", ["0.00000001", "95234.50", "-12.5", "123456789012345678901234567890.000000000000000001", "1E+5", None]
)
async def test_an_amount_comes_back_exactly(filled: Database, amount: str | None) -> None:
    given_ = None if amount is None else Decimal(amount)
    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things).values(id=1, amount=given_))
        assert await tx.connection.scalar(select(things.c.amount)) == given_


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-3)), timezone(timedelta(hours=5, minutes=30))])
async def test_a_moment_comes_back_in_utc_whatever_zone_it_was_given_in(filled: Database, zone: timezone) -> None:
    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things).values(id=1, at=NOON.astimezone(zone)))
        moment = await tx.connection.scalar(select(things.c.at).where(things.c.at == NOON))
    assert moment == NOON
    assert moment.utcoffset() == timedelta(0)


async def test_moments_compare_in_order_of_time_not_of_their_zones_text(filled: Database) -> None:
    later = (NOON + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-11)))
    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things), [{"id": 1, "at": later}, {"id": 2, "at": NOON}])
        ids = (await tx.connection.execute(select(things.c.id).order_by(things.c.at))).scalars().all()
    assert ids == [2, 1]


async def test_a_moment_without_zone_is_refused(filled: Database) -> None:
    with pytest.raises(StatementError, match="naive"):
        async with filled.transaction() as tx:
            await tx.connection.execute(insert(things).values(id=1, at=NOON.replace(tzinfo=None)))


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])))
def test_sqlite_gets_every_moment_as_utc_text_that_leads_back(moment: datetime) -> None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return
    dialect, type_ = sqlite.dialect(), UtcTime()
    assert type_.process_result_value(type_.process_bind_param(moment, dialect), dialect) == moment


async def test_a_transaction_commits_its_rows_and_its_messages_together(filled: Database) -> None:
    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things).values(id=1))
        tx.publish(a_message(), a_message())
        tx.publish(a_message())
    assert await count(filled, things) == 1
    assert await count(filled, filled.outbox.table) == 3


async def test_a_transaction_that_raises_leaves_neither_rows_nor_messages(filled: Database) -> None:
    async def work() -> None:
        async with filled.transaction() as tx:
            await tx.connection.execute(insert(things).values(id=1))
            tx.publish(a_message())
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert await count(filled, things) == 0
    assert await count(filled, filled.outbox.table) == 0


async def test_messages_that_cannot_be_stored_take_the_rows_back_with_them(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object) -> None:
        raise LookupError

    async def work() -> None:
        async with filled.transaction() as tx:
            await tx.connection.execute(insert(things).values(id=1))
            tx.publish(a_message())

    monkeypatch.setattr(filled.outbox, "add", fail)
    with pytest.raises(LookupError):
        await work()
    assert await count(filled, things) == 0


async def test_a_commit_with_messages_rings_the_relay_and_one_without_does_not(filled: Database) -> None:
    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things).values(id=1))
    assert not filled.outbox._bell.is_set()
    async with filled.transaction() as tx:
        tx.publish(a_message())
        assert not filled.outbox._bell.is_set()
    assert filled.outbox._bell.is_set()


async def test_a_broken_rule_of_the_schema_is_no_passing_trouble_and_its_text_tells_no_values(filled: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with filled.transaction() as tx:
            await tx.connection.execute(insert(things), [{"id": 1, "name": "x"}, {"id": 1, "name": "hush"}])
    assert "hush" not in str(caught.value)


async def test_transactions_that_read_then_write_the_same_row_lose_no_update(filled: Database) -> None:
    async def add_one() -> None:
        async with filled.transaction() as tx:
            row = select(things.c.amount).where(things.c.id == 1).with_for_update()
            amount = await tx.connection.scalar(row)
            await asyncio.sleep(0)
            assert amount is not None
            await tx.connection.execute(update(things).values(amount=amount + 1))

    async with filled.transaction() as tx:
        await tx.connection.execute(insert(things).values(id=1, amount=Decimal(0)))
    await asyncio.gather(*(add_one() for _ in range(20)))
    async with filled.transaction() as tx:
        assert await tx.connection.scalar(select(things.c.amount)) == 20


async def test_a_migrated_database_that_answers_is_waited_for_no_longer(database: Database) -> None:
    assert await database.waiting_for() is None


async def test_an_unmigrated_database_is_waited_for(make_database: Callable[[str], Database]) -> None:
    database = make_database("ledger")
    assert (await database.waiting_for() or "").startswith("database ledger: ")
    with pytest.raises(Transient):
        async with database.transaction() as tx:
            await tx.connection.execute(select(things))


@pytest.fixture
def nowhere() -> str:
    """The address of a PostgreSQL that is away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"postgresql+asyncpg://someone:hush@127.0.0.1:{probe.getsockname()[1]}/nothing"


async def test_a_database_that_is_away_is_transient_and_named_without_its_password(nowhere: str) -> None:
    database = Database(nowhere, "ledger")
    with pytest.raises(Transient, match="database ledger") as caught:
        async with database.transaction():
            pytest.fail("there is nothing to work with")
    assert "hush" not in str(caught.value)
    assert await database.waiting_for() == "database ledger: ConnectionRefusedError"


async def test_a_connection_lost_in_the_middle_is_transient_and_the_next_transaction_works(
    postgres_url: str,
) -> None:
    async def my_pid(tx: Transaction) -> int:
        return int(await tx.connection.scalar(select(func.pg_backend_pid())) or 0)

    database, other = Database(postgres_url, "ledger"), Database(postgres_url, "ledger")

    async def work() -> None:
        async with database.transaction() as tx, other.transaction() as killer:
            await killer.connection.execute(select(func.pg_terminate_backend(await my_pid(tx))))
            await my_pid(tx)

    async with database.running(), other.running():
        with pytest.raises(Transient):
            await work()
        async with database.transaction() as tx:
            assert await my_pid(tx)


async def test_all_connections_taken_is_transient(postgres_url: str) -> None:
    database = Database(postgres_url, "ledger", connections=1)
    database.engine.sync_engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    async with database.running(), database.transaction():
        with pytest.raises(Transient):
            async with database.transaction():
                pass
