import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from shared.bus import Envelope, PublishFailed, PublishUnknown
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import JOBS, LEDGER
from shared.contracts import Message, ReceiptGiven, SubscriptionChanged, dump
from shared.db.database import Database
from shared.db.outbox import Relay, on_receipts

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class HandClock:
    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


class Recorder(InProcessBus):
    """A bus that writes down what it is given and can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Envelope] = []
        self.troubles: list[Exception] = []
        self.stuck: asyncio.Event | None = None

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        await asyncio.sleep(0)
        self.published += envelopes
        if self.troubles:
            raise self.troubles.pop()
        if self.stuck is not None:
            await self.stuck.wait()

    @property
    def ids(self) -> list[UUID]:
        return [envelope.id for envelope in self.published]


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def broker() -> Recorder:
    """A broker, which may lose what it has confirmed."""
    recorder = Recorder()
    recorder.gives_receipts = True
    return recorder


def receipt(queue: str, *messages: Message) -> ReceiptGiven:
    ids = tuple(message.id for message in messages)
    return ReceiptGiven(id=uuid4(), occurred_at=NOON, queue=queue, message_ids=ids)


def some(number: int) -> list[SubscriptionChanged]:
    return [
        SubscriptionChanged(
            id=uuid4(), occurred_at=NOON, subscription_id=uuid4(), bot_id=uuid4(), user_id=uuid4(), status="active"
        )
        for _ in range(number)
    ]


async def store(database: Database, messages: Sequence[Message]) -> None:
    async with database.transaction() as tx:
        tx.publish(*messages)


async def left(database: Database) -> int:
    async with database.transaction() as tx:
        return (await tx.connection.scalar(select(func.count()).select_from(database.outbox.table))) or 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def until_empty(database: Database) -> None:
    async with asyncio.timeout(10):
        while await left(database):
            await asyncio.sleep(0.005)


async def test_what_a_transaction_publishes_leaves_after_its_commit_oldest_first(
    database: Database, recorder: Recorder, hand_clock: HandClock
) -> None:
    messages = some(5)
    async with Relay(database, recorder, hand_clock).running():
        await store(database, messages)
        await until_empty(database)
    assert recorder.ids == [message.id for message in messages]
    assert recorder.published[0] == Envelope(messages[0].id, messages[0].TYPE, dump(messages[0]))


async def test_the_end_of_the_relay_waits_for_the_batch_it_is_publishing(
    database: Database, recorder: Recorder, hand_clock: HandClock
) -> None:
    recorder.stuck = asyncio.Event()
    async with Relay(database, recorder, hand_clock).running():
        await store(database, some(1))
        await until(lambda: len(recorder.ids) == 1)
        asyncio.get_running_loop().call_later(0.02, recorder.stuck.set)
    assert await left(database) == 0
    assert len(recorder.ids) == 1


async def test_what_was_left_by_an_earlier_process_leaves_at_the_start(
    database: Database, recorder: Recorder, hand_clock: HandClock
) -> None:
    await store(database, some(3))
    database.outbox._bell.clear()
    async with Relay(database, recorder, hand_clock).running():
        await until(lambda: len(recorder.ids) == 3)


async def test_the_end_of_the_relay_publishes_what_is_stored(
    database: Database, recorder: Recorder, hand_clock: HandClock
) -> None:
    async with Relay(database, recorder, hand_clock).running():
        await until_empty(database)
        async with database.transaction() as tx:
            tx.publish(*some(1))
    assert len(recorder.ids) == 1
    assert await left(database) == 0


async def test_two_relays_of_one_table_publish_each_message_once(
    database: Database, make_database: Callable[[str], Database], recorder: Recorder, hand_clock: HandClock
) -> None:
    messages = some(1500)
    other = make_database("ledger")
    await store(database, messages)
    async with (
        Relay(database, recorder, hand_clock).running(),
        Relay(other, recorder, hand_clock).running(),
    ):
        await until_empty(database)
    assert sorted(recorder.ids) == sorted(message.id for message in messages)


@pytest.mark.parametrize("trouble", [PublishUnknown("no answer"), PublishFailed("nobody takes it")])
async def test_what_was_not_confirmed_stays_and_is_published_again_when_its_claim_has_ended(
    database: Database, recorder: Recorder, hand_clock: HandClock, trouble: Exception
) -> None:
    (message,) = some(1)
    recorder.troubles = [trouble]
    async with Relay(database, recorder, hand_clock).running():
        await store(database, [message])
        await until(lambda: len(recorder.ids) == 1)
        assert await left(database) == 1
        hand_clock.moment += timedelta(seconds=6)
        database.outbox.ring()
        await until_empty(database)
    assert recorder.ids == [message.id, message.id]


async def test_a_relay_that_died_between_publishing_and_deleting_makes_another_publish_again(
    database: Database, recorder: Recorder, hand_clock: HandClock
) -> None:
    (message,) = some(1)
    await store(database, [message])
    recorder.stuck = asyncio.Event()
    dying = asyncio.create_task(Relay(database, recorder, hand_clock)._publish_batch())
    await until(lambda: len(recorder.ids) == 1)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    recorder.stuck = None
    other = Relay(database, recorder, hand_clock)
    assert not await other._publish_batch(), "the dead relay's claim still holds"
    hand_clock.moment += timedelta(seconds=6)
    assert await other._publish_batch()
    assert recorder.ids == [message.id, message.id]
    assert await left(database) == 0


async def test_over_the_in_process_bus_a_row_is_gone_only_when_its_receiver_has_settled(
    database: Database, hand_clock: HandClock
) -> None:
    bus, entered, let_go = InProcessBus(), asyncio.Event(), asyncio.Event()

    async def handle(_messages: Sequence[Message]) -> None:
        entered.set()
        await let_go.wait()

    async with bus.running(), bus.consuming(LEDGER, handle), Relay(database, bus, hand_clock).running():
        await store(database, some(1))
        await until(entered.is_set)
        assert await left(database) == 1
        let_go.set()
        await until_empty(database)


async def test_what_the_broker_has_is_kept_until_its_receiver_has_it(
    database: Database, broker: Recorder, hand_clock: HandClock
) -> None:
    messages = some(3)
    await store(database, messages)
    relay = Relay(database, broker, hand_clock)
    assert await relay._publish_batch()
    assert not await relay._publish_batch(), "nothing is told again before its time"
    assert all(envelope.wants_receipt for envelope in broker.published)
    await on_receipts(database)([receipt(LEDGER.name, *messages[:2]), receipt(JOBS.name, messages[2])])
    assert await left(database) == 1, "the third waits for the ledger's receipt, not for another's"
    await on_receipts(database)([receipt(LEDGER.name, messages[2])])
    assert await left(database) == 0


async def test_what_nobody_gives_a_receipt_for_is_told_again_after_longer_and_longer_pauses(
    database: Database, broker: Recorder, hand_clock: HandClock
) -> None:
    (message,) = some(1)
    await store(database, [message])
    relays = [Relay(database, broker, hand_clock, again_after_s=60) for _ in range(2)]
    told_at_s = []
    for second in range(0, 9_000, 20):
        hand_clock.moment = NOON + timedelta(seconds=second)
        told = [await relay._publish_batch() for relay in relays]
        assert sum(told) <= 1, "two relays do not tell it twice"
        told_at_s += [second] * sum(told)
    # a look every 20 s: the first after 60 s has passed, then 240, 960, 3600
    assert told_at_s == [0, 80, 340, 1320, 4940, 8560]
    assert broker.ids == [message.id] * 6


async def test_a_receipt_that_comes_before_its_message_is_known_to_be_confirmed_counts(
    database: Database, broker: Recorder, hand_clock: HandClock
) -> None:
    (message,) = some(1)
    await store(database, [message])
    broker.stuck = asyncio.Event()
    telling = asyncio.create_task(Relay(database, broker, hand_clock)._publish_batch())
    await until(lambda: len(broker.ids) == 1)
    await on_receipts(database)([receipt(LEDGER.name, message)])
    broker.stuck.set()
    assert await telling
    assert await left(database) == 0


async def test_receipts_and_relays_at_once_lock_nobody_out(
    database: Database, make_database: Callable[[str], Database], broker: Recorder, hand_clock: HandClock
) -> None:
    messages = some(2_000)
    await store(database, messages)
    other = make_database("ledger")
    relays = [Relay(each, broker, hand_clock) for each in (database, other)]

    async def answer() -> None:
        for at in range(0, len(messages), 100):
            batch = messages[at : at + 100]
            await until(lambda batch=batch: {m.id for m in batch} <= set(broker.ids))  # type: ignore[misc]  # typed above
            await on_receipts(database)([receipt(LEDGER.name, *reversed(batch))])

    async with relays[0].running(), relays[1].running():
        await answer()
    assert await left(database) == 0
    assert len(broker.ids) == len(messages)
