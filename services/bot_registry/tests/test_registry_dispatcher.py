"""The dispatcher: every accepted signal becomes its jobs once."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from services.bot_registry.dispatcher import app, store
from services.bot_registry.dispatcher.consume import Dispatcher
from services.bot_registry.tables import bots, exchange_accounts, outbox, signals, subscriptions, users
from shared import ids
from shared.bus import Envelope, Poison
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import JOBS, LEDGER
from shared.clock import Clock, SystemClock
from shared.contracts import (
    Action,
    ExecutionFinished,
    ExecutionRequested,
    Job,
    Message,
    Signal,
    SignalDispatched,
    SignalReceived,
    SignalSettled,
    parse,
)
from shared.db.database import Database

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BOT = ids.derived("bot")


def a_signal(name: str, body: str = "", bot_id: UUID = BOT, **more: Any) -> SignalReceived:
    signal = Signal(
        signal_id=ids.derived("signal", name),
        bot_id=bot_id,
        action=Action.BUY,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=None,
        source_ip="52.89.214.238",
        received_at=more.pop("received_at", NOW),
        body_digest=(body or name).ljust(64, "0"),
        **more,
    )
    return SignalReceived(id=ids.derived("received", name), occurred_at=NOW, signal=signal, payload={})


async def a_bot(database: Database, bot_id: UUID = BOT, **more: Any) -> None:
    row = {
        "id": bot_id,
        "revision": 1,
        "name": "a bot",
        "market_type": "futures",
        "status": "active",
        "master_webhook_path": str(bot_id),
        "secrets": [],
        "default_leverage": 10,
        "default_margin_usd": 100,
        "rate_limit_per_minute": 10,
        "duplicate_window_seconds": 20,
        "max_signal_age_seconds": 60,
        "on_opposite": "reverse",
        "max_entries_per_symbol": 1,
        "created_at": NOW,
    }
    async with database.transaction() as tx:
        await tx.connection.execute(insert(bots).values(row | more))


async def accounts(database: Database, count: int) -> list[UUID]:
    """New exchange accounts, all of one user."""
    user_id, account_ids = ids.fresh(), [ids.fresh() for _ in range(count)]
    user = {"id": user_id, "email": str(user_id), "password_hash": "", "role": "customer", "created_at": NOW}
    rows = [
        {
            "id": account_id,
            "user_id": user_id,
            "label": "an account",
            "exchange": "binance",
            "environment": "paper",
            "key_digest": str(account_id),
            "api_key_last4": "1234",
            "sealed_credentials": "sealed box " * 20,
            "last_sequence": 0,
            "created_at": NOW,
        }
        for account_id in account_ids
    ]
    async with database.transaction() as tx:
        await tx.connection.execute(insert(users).values(user))
        await tx.connection.execute(insert(exchange_accounts), rows)
    return account_ids


async def subscribe(
    database: Database, account_ids: Sequence[UUID], bot_id: UUID = BOT, status: str = "active"
) -> list[UUID]:
    """A subscription of each account to the bot."""
    async with database.transaction() as tx:
        owner = select(exchange_accounts.c.user_id).where(exchange_accounts.c.id == account_ids[0])
        user_id = await tx.connection.scalar(owner)
        subscription_ids = [ids.fresh() for _ in account_ids]
        rows = [
            {
                "id": subscription_id,
                "bot_id": bot_id,
                "user_id": user_id,
                "exchange_account_id": account_id,
                "status": status,
                "created_at": NOW,
            }
            for subscription_id, account_id in zip(subscription_ids, account_ids, strict=True)
        ]
        await tx.connection.execute(insert(subscriptions), rows)
    return subscription_ids


async def outgoing(database: Database) -> list[Message]:
    """What waits for the relay, in order."""
    async with database.transaction() as tx:
        rows = (await tx.connection.execute(select(outbox).order_by(outbox.c.position))).all()
    return [parse(row.type, row.body) for row in rows]


def jobs_in(messages: Sequence[Message]) -> list[Job]:
    return [job for message in messages if isinstance(message, ExecutionRequested) for job in message.jobs]


@pytest.fixture
def dispatcher(database: Database, clock: Clock) -> Dispatcher:
    return Dispatcher(database, clock, random.Random(1).shuffle)


async def test_every_active_subscription_gets_one_job_and_the_lane_its_number(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    account_ids = await accounts(database, 4)
    active = await subscribe(database, account_ids[:2])
    await subscribe(database, account_ids[2:3], status="paused")
    await subscribe(database, account_ids[3:], status="deleted")
    for name in ("one", "two"):
        await dispatcher.on_messages([a_signal(name)])
    jobs = jobs_in(await outgoing(database))
    assert sorted((job.subscription_id, job.sequence) for job in jobs) == sorted(
        (subscription, sequence) for subscription in active for sequence in (1, 2)
    )
    assert {job.exchange_account_id for job in jobs} == set(account_ids[:2])
    async with database.transaction() as tx:
        last = (await tx.connection.execute(select(exchange_accounts.c.id, exchange_accounts.c.last_sequence))).all()
    assert {row.id: row.last_sequence for row in last} == dict(zip(account_ids, [2, 2, 0, 0], strict=True))


async def test_the_bots_terms_and_the_customers_settings_reach_the_job(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database, default_stop_loss_pct=2, max_signal_age_seconds=30, margin_type="isolated")
    await subscribe(database, await accounts(database, 1))
    async with database.transaction() as tx:
        await tx.connection.execute(
            update(subscriptions).values(custom_leverage=15, custom_margin_usd=0, leverage_policy="clamp")
        )
    await dispatcher.on_messages([a_signal("one")])
    (job,) = jobs_in(await outgoing(database))
    assert (job.config.leverage, job.config.margin_usd, job.config.stop_loss_pct) == (15, Decimal(0), Decimal(2))
    assert (job.config.margin_type, job.config.leverage_policy) == ("isolated", "clamp")
    assert job.expires_at == NOW + timedelta(seconds=30)
    assert job.sealed_credentials == "sealed box " * 20


async def test_a_redelivered_signal_changes_nothing(dispatcher: Dispatcher, database: Database) -> None:
    await a_bot(database)
    await subscribe(database, await accounts(database, 3))
    await dispatcher.on_messages([a_signal("one", alert_id="7")])
    before = await outgoing(database)
    await dispatcher.on_messages([a_signal("one", alert_id="7")])
    assert await outgoing(database) == before


async def test_a_crash_before_the_commit_leaves_nothing_and_the_redelivery_does_it_all(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    await subscribe(database, await accounts(database, 3))

    def crash(_subscribers: list[Any]) -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        await replace(dispatcher, shuffle=crash).on_messages([a_signal("one")])
    assert await outgoing(database) == []
    await dispatcher.on_messages([a_signal("one")])
    assert [job.sequence for job in jobs_in(await outgoing(database))] == [1, 1, 1]


async def test_the_same_body_again_within_the_window_is_on_record_and_trades_nothing(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    active = await subscribe(database, await accounts(database, 2))
    await dispatcher.on_messages([a_signal("one", body="same")])
    await dispatcher.on_messages([a_signal("two", body="same", received_at=NOW + timedelta(seconds=19))])
    messages = await outgoing(database)
    assert len(jobs_in(messages)) == 2
    first, second = [message for message in messages if isinstance(message, SignalDispatched)]
    assert (second.duplicate_of, second.total_subscribers) == (first.signal_id, 2)
    skipped = [message for message in messages if isinstance(message, ExecutionFinished)]
    assert {execution.subscription_id for execution in skipped} == set(active)
    assert {(execution.signal_id, execution.error_code) for execution in skipped} == {(second.signal_id, "duplicate")}
    async with database.transaction() as tx:
        assert set(await tx.connection.scalars(select(exchange_accounts.c.last_sequence))) == {1}


async def test_a_duplicate_does_not_prolong_the_window(dispatcher: Dispatcher, database: Database) -> None:
    await a_bot(database)
    for seconds in (0, 15, 25):
        received_at = NOW + timedelta(seconds=seconds)
        await dispatcher.on_messages([a_signal(f"after {seconds}", body="same", received_at=received_at)])
    said = [message for message in await outgoing(database) if isinstance(message, SignalDispatched)]
    assert [message.duplicate_of is None for message in said] == [True, False, True]


async def test_what_was_received_first_but_dispatched_last_is_the_duplicate(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    await dispatcher.on_messages([a_signal("late", body="same", received_at=NOW + timedelta(seconds=5))])
    await dispatcher.on_messages([a_signal("early", body="same")])
    said = [message for message in await outgoing(database) if isinstance(message, SignalDispatched)]
    assert [message.duplicate_of for message in said] == [None, ids.derived("signal", "late")]


async def test_a_window_of_zero_lets_every_body_pass(dispatcher: Dispatcher, database: Database) -> None:
    await a_bot(database, duplicate_window_seconds=0)
    for name in ("one", "two"):
        await dispatcher.on_messages([a_signal(name, body="same")])
    said = [message for message in await outgoing(database) if isinstance(message, SignalDispatched)]
    assert [message.duplicate_of for message in said] == [None, None]


async def test_the_same_body_of_another_bot_is_no_duplicate(dispatcher: Dispatcher, database: Database) -> None:
    other = ids.derived("other bot")
    await a_bot(database)
    await a_bot(database, other)
    await dispatcher.on_messages([a_signal("one", body="same")])
    await dispatcher.on_messages([a_signal("two", body="same", bot_id=other, alert_id="7")])
    said = [message for message in await outgoing(database) if isinstance(message, SignalDispatched)]
    assert [message.duplicate_of for message in said] == [None, None]


async def test_an_alert_id_counts_once_for_ever(dispatcher: Dispatcher, database: Database) -> None:
    await a_bot(database)
    for name, days in (("one", 0), ("two", 30), ("three", 60)):
        received_at = NOW + timedelta(days=days)
        await dispatcher.on_messages([a_signal(name, alert_id="7", received_at=received_at)])
    said = [message for message in await outgoing(database) if isinstance(message, SignalDispatched)]
    assert [message.duplicate_of for message in said] == [None, *[ids.derived("signal", "one")] * 2]


@pytest.mark.parametrize("status", ["paused", "archived", None])
async def test_a_bot_that_is_not_active_reaches_nobody(
    dispatcher: Dispatcher, database: Database, status: str | None
) -> None:
    if status is not None:
        await a_bot(database, status=status)
        await subscribe(database, await accounts(database, 1))
    await dispatcher.on_messages([a_signal("one")])
    await dispatcher.on_messages([a_signal("one")])
    (said,) = await outgoing(database)
    assert isinstance(said, SignalDispatched)
    assert said.total_subscribers == 0


async def test_subscribers_are_shuffled(database: Database, clock: Clock) -> None:
    await a_bot(database)
    active = await subscribe(database, await accounts(database, 20))
    await Dispatcher(database, clock, random.Random(1).shuffle).on_messages([a_signal("one")])
    order = [job.subscription_id for job in jobs_in(await outgoing(database))]
    assert set(order) == set(active)
    assert order not in (sorted(active), active)


async def test_a_message_of_another_kind_is_poison(dispatcher: Dispatcher) -> None:
    settled = SignalSettled(
        id=ids.derived("x"),
        occurred_at=NOW,
        signal_id=ids.derived("y"),
        bot_id=BOT,
        total_subscribers=0,
        successful_executions=0,
        failed_executions=0,
        skipped_executions=0,
    )
    with pytest.raises(Poison):
        await dispatcher.on_messages([settled])


async def test_replicas_with_the_same_body_at_once_make_one_set_of_jobs(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    active = await subscribe(database, await accounts(database, 30))
    names = [f"copy {number}" for number in range(8)]
    await asyncio.gather(*(dispatcher.on_messages([a_signal(name, body="same")]) for name in names))
    messages = await outgoing(database)
    assert sorted(job.subscription_id for job in jobs_in(messages)) == sorted(active)
    said = [message for message in messages if isinstance(message, SignalDispatched)]
    (first,) = {message.duplicate_of for message in said} - {None}
    assert [message.signal_id for message in said if message.duplicate_of is None] == [first]
    assert len(said) == 8


@pytest.mark.parametrize("known_bot", [True, False])
async def test_replicas_with_the_same_signal_at_once_dispatch_it_once(
    dispatcher: Dispatcher, database: Database, known_bot: bool
) -> None:
    if known_bot:
        await a_bot(database)
        await subscribe(database, await accounts(database, 5))
    await asyncio.gather(*(dispatcher.on_messages([a_signal("one")]) for _ in range(8)))
    messages = await outgoing(database)
    assert len([message for message in messages if isinstance(message, SignalDispatched)]) == 1
    assert len(jobs_in(messages)) == (5 if known_bot else 0)


async def test_bots_that_share_accounts_count_their_lanes_without_gap_or_double(
    dispatcher: Dispatcher, database: Database
) -> None:
    account_ids = await accounts(database, 20)
    bot_ids = [ids.derived("bot", number) for number in range(4)]
    for bot_id in bot_ids:
        await a_bot(database, bot_id)
        await subscribe(database, random.Random(str(bot_id)).sample(account_ids, 20), bot_id)
    received = [a_signal(f"{bot_id} {number}", bot_id=bot_id) for bot_id in bot_ids for number in range(3)]
    await asyncio.gather(*(dispatcher.on_messages([message]) for message in received))
    lanes: defaultdict[UUID, list[int]] = defaultdict(list)
    for job in jobs_in(await outgoing(database)):
        lanes[job.exchange_account_id].append(job.sequence)
    assert lanes.keys() == set(account_ids)
    assert {tuple(sorted(numbers)) for numbers in lanes.values()} == {tuple(range(1, 13))}


async def test_ten_thousand_subscribers_are_dispatched_in_one_transaction_of_a_hundred_frames(
    dispatcher: Dispatcher, database: Database
) -> None:
    await a_bot(database)
    active = await subscribe(database, await accounts(database, 10_000))
    await dispatcher.on_messages([a_signal("one")])
    messages = await outgoing(database)
    assert len([message for message in messages if isinstance(message, ExecutionRequested)]) == 100
    assert {job.subscription_id for job in jobs_in(messages)} == set(active)
    async with database.transaction() as tx:
        assert await tx.connection.scalar(select(func.sum(exchange_accounts.c.last_sequence))) == 10_000


async def test_two_signals_of_one_lane_step_count_by_their_number_of_jobs(database: Database) -> None:
    account_ids = await accounts(database, 3)
    async with database.transaction() as tx:
        await store.advance_lanes(tx.connection, dict(zip(account_ids, [1, 2, 1], strict=True)))
        rows = (await tx.connection.execute(select(exchange_accounts.c.id, exchange_accounts.c.last_sequence))).all()
    assert {row.id: row.last_sequence for row in rows} == dict(zip(account_ids, [1, 2, 1], strict=True))


@asynccontextmanager
async def listening(bus: InProcessBus, heard: list[Message]) -> AsyncIterator[None]:
    """Hears what the executors and the ledger would."""

    async def hear(messages: Sequence[Message]) -> None:
        heard.extend(messages)

    async with bus.consuming(JOBS, hear), bus.consuming(LEDGER, hear):
        yield


async def test_the_running_dispatcher_takes_a_signal_from_the_bus_and_its_jobs_arrive(database: Database) -> None:
    await a_bot(database)
    active = await subscribe(database, await accounts(database, 3))
    bus, heard = InProcessBus(), list[Message]()
    service = app.build(database, bus, SystemClock())
    async with bus.running(), listening(bus, heard), AsyncExitStack() as stack:
        for part in service.parts:
            await stack.enter_async_context(part())
        await bus.publish([Envelope.of(a_signal("one"))], within_s=5)
    assert {job.subscription_id for job in jobs_in(heard)} == set(active)
    assert [message.total_subscribers for message in heard if isinstance(message, SignalDispatched)] == [3]
    async with database.transaction() as tx:
        assert await tx.connection.scalar(select(func.count()).select_from(signals)) == 1
