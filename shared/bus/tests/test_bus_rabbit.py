"""What only RabbitMQ can do to us: go away, freeze, come late, lose a queue."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import aio_pika
import pytest

from shared.bus import Envelope, Poison, PublishFailed, PublishUnknown
from shared.bus.rabbit import RabbitBus
from shared.bus.tests.conftest import rabbitmqctl
from shared.bus.tests.support import Gate, Inbox, Wire, bot_changed, enveloped, eventually, requested, subscribed, wire
from shared.bus.topology import EXECUTOR_RECEIPTS, GATEWAY, JOBS, LEDGER, QUEUES, SIGNALS
from shared.contracts import Message, ReceiptGiven

_SHOWN = ("name", "durable", "arguments")


@pytest.fixture
async def line(broker_url: str) -> AsyncIterator[Wire]:
    """A wire to the broker, closed for now."""
    place = urlsplit(broker_url)
    async with wire(place.hostname or "", place.port or 5672) as proxy:
        yield proxy


@pytest.fixture
def far_bus(line: Wire, broker_url: str) -> RabbitBus:
    """A bus at the end of that wire."""
    place = urlsplit(broker_url)
    there = place._replace(netloc=f"{place.username}:{place.password}@127.0.0.1:{line.port}")
    return RabbitBus(urlunsplit(there), "far")


async def persist(bus: RabbitBus, envelopes: list[Envelope]) -> None:
    """What the relay does: publish until it succeeds."""
    while True:
        try:
            await bus.publish(envelopes, within_s=2)
            return
        except (PublishUnknown, PublishFailed):
            await asyncio.sleep(0.01)


async def test_it_waits_for_a_broker_that_comes_late_and_says_so_without_the_password(
    far_bus: RabbitBus, line: Wire
) -> None:
    started, stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        async with far_bus.running():
            started.set()
            await stop.wait()

    running = asyncio.create_task(run())
    await asyncio.sleep(0.02)
    assert far_bus.waiting_for() == f"RabbitMQ at 127.0.0.1:{line.port}"
    assert not started.is_set()
    await line.open()
    await eventually(started.is_set)
    assert far_bus.waiting_for() is None
    stop.set()
    await running


async def test_a_start_that_still_waits_for_the_broker_can_be_given_up(far_bus: RabbitBus) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), far_bus.running():
            pass


async def test_lost_connections_lose_no_message(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    jobs = [requested() for _ in range(300)]
    inbox = Inbox()
    async with far_bus.running(), far_bus.consuming(JOBS, inbox):
        publishing = asyncio.create_task(persist(far_bus, enveloped(jobs[:100])))
        await eventually(lambda: len(inbox.ids) > 20)
        line.cut()
        await publishing
        publishing = asyncio.create_task(persist(far_bus, enveloped(jobs[100:])))
        await eventually(lambda: len(set(inbox.ids)) > 150)
        line.cut()
        await publishing
        await inbox.has(*jobs)
        await eventually(lambda: far_bus.waiting_for() is None)


async def test_a_lost_connection_leaves_the_running_handler_alone_and_the_message_comes_again(
    far_bus: RabbitBus, line: Wire
) -> None:
    await line.open()
    job, gate = requested(), Gate()
    async with far_bus.running(), far_bus.consuming(JOBS, gate):
        await far_bus.publish([Envelope.of(job)], within_s=5)
        await eventually(gate.entered.is_set)
        line.cut()
        await eventually(lambda: far_bus.waiting_for() is not None)
        gate.let_go.set()
        await eventually(lambda: gate.finished == [job.id] * 2)
    assert not gate.cancelled


async def test_a_broadcast_reader_is_attached_again_after_a_lost_connection(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    inbox, change = Inbox(), bot_changed()
    async with far_bus.running(), far_bus.consuming(GATEWAY, inbox):
        line.cut()
        await eventually(lambda: far_bus.waiting_for() is not None)
        await persist(far_bus, [Envelope.of(change)])
        await inbox.has(change)


async def test_publishing_while_disconnected_fails_within_its_time(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    async with far_bus.running():
        await line.shut()
        await eventually(lambda: far_bus.waiting_for() is not None)
        with pytest.raises(PublishFailed, match="RabbitMQ at"):
            await far_bus.publish([Envelope.of(requested())], within_s=0.05)


async def test_a_short_absence_is_waited_for(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    async with far_bus.running():
        line.cut()
        await eventually(lambda: far_bus.waiting_for() is not None)
        await far_bus.publish([Envelope.of(requested())], within_s=10)


async def test_no_confirmation_in_time_is_unknown_and_the_next_attempt_joins_the_first(
    far_bus: RabbitBus, line: Wire
) -> None:
    await line.open()
    job, marker, inbox = requested(), requested(), Inbox()
    async with far_bus.running():
        line.freeze()
        with pytest.raises(PublishUnknown):
            await far_bus.publish([Envelope.of(job)], within_s=0.05)
        again = asyncio.create_task(far_bus.publish([Envelope.of(job)], within_s=10))
        await asyncio.sleep(0.01)
        line.thaw()
        await again
        await far_bus.publish([Envelope.of(marker)], within_s=10)
        async with far_bus.consuming(JOBS, inbox):
            await inbox.has(job, marker)
    assert inbox.ids == [job.id, marker.id]


async def test_a_connection_that_dies_under_a_publish_makes_it_unknown(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    async with far_bus.running():
        line.freeze()
        publishing = asyncio.create_task(far_bus.publish([Envelope.of(requested())], within_s=10))
        await asyncio.sleep(0.02)
        line.cut()
        with pytest.raises(PublishUnknown):
            await publishing
        line.thaw()


async def test_the_end_of_running_waits_for_the_confirmations_under_way(far_bus: RabbitBus, line: Wire) -> None:
    await line.open()
    async with far_bus.running():
        line.freeze()
        publishing = asyncio.create_task(far_bus.publish([Envelope.of(requested())], within_s=10))
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().call_later(0.03, line.thaw)
    await publishing


async def test_a_dead_letter_that_cannot_be_kept_now_is_kept_later(
    far_bus: RabbitBus, line: Wire, broker_url: str
) -> None:
    async def handle(_messages: object) -> None:
        await line.shut()
        await eventually(lambda: far_bus.waiting_for() is not None)
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(line.open()))
        raise Poison("bad")

    await line.open()
    job = requested()
    async with far_bus.running():
        await far_bus.publish([Envelope.of(job)], within_s=5)
        async with (
            far_bus.consuming(JOBS, handle),
            await aio_pika.connect(broker_url) as connection,
            connection.channel() as channel,
        ):
            grave = await channel.get_queue(JOBS.dead, ensure=False)
            async with grave.iterator(no_ack=True, timeout=10) as letters:
                letter = await anext(letters)
    assert letter.message_id == str(job.id)


async def test_a_queue_that_an_operator_deleted_is_declared_and_consumed_again(broker_url: str) -> None:
    bus, inbox, fact = RabbitBus(broker_url, "test"), Inbox(), subscribed()
    async with bus.running(), bus.consuming(LEDGER, inbox):
        async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
            await channel.queue_delete(LEDGER.name)
        await eventually(lambda: bus.waiting_for() == f"queue {LEDGER.name}")
        await persist(bus, [Envelope.of(fact)])
        await inbox.has(fact)


async def test_messages_are_persistent_and_carry_their_id_and_type(broker_url: str) -> None:
    bus, job = RabbitBus(broker_url, "test"), requested()
    async with bus.running():
        await bus.publish([Envelope.of(job)], within_s=5)
        async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
            message = await (await channel.get_queue(JOBS.name, ensure=False)).get(no_ack=True)
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.message_id == str(job.id)
    assert message.type == job.TYPE
    assert message.content_type == "application/json"


async def test_a_dead_letter_says_where_why_and_when(broker_url: str) -> None:
    bus, job = RabbitBus(broker_url, "test"), requested()

    async def handle(_messages: object) -> None:
        raise Poison("no such market")

    async with (
        bus.running(),
        bus.consuming(JOBS, handle),
        await aio_pika.connect(broker_url) as connection,
        connection.channel() as channel,
    ):
        await bus.publish([Envelope.of(job)], within_s=5)
        grave = await channel.get_queue(JOBS.dead, ensure=False)
        async with grave.iterator(no_ack=True, timeout=10) as letters:
            letter = await anext(letters)
    assert letter.body == Envelope.of(job).body
    assert letter.headers["x-reason"] == "Poison: no such market"
    assert letter.headers["x-queue"] == JOBS.name
    assert str(letter.headers["x-failed-at"]).endswith("+00:00")


async def test_a_message_without_id_and_type_from_somebody_else_dies_too(broker_url: str) -> None:
    bus, inbox = RabbitBus(broker_url, "test"), Inbox()
    async with bus.running(), await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
        jobs = await channel.get_exchange("jobs", ensure=False)
        await jobs.publish(aio_pika.Message(b"hello"), requested().TYPE)
        async with bus.consuming(JOBS, inbox):
            grave = await channel.get_queue(JOBS.dead, ensure=False)
            async with grave.iterator(no_ack=True, timeout=10) as letters:
                letter = await anext(letters)
    assert letter.body == b"hello"
    assert inbox.ids == []


async def test_queues_are_durable_and_replicated_and_a_broadcast_copy_goes_a_minute_after_its_reader(
    broker_url: str, own_vhost: str
) -> None:
    bus = RabbitBus(broker_url, "test")
    async with bus.running(), bus.consuming(GATEWAY, Inbox()):
        declared = await asyncio.to_thread(
            rabbitmqctl, "list_queues", "--vhost", own_vhost, "--formatter", "json", *_SHOWN
        )
    rows = json.loads(declared)
    assert all(row["durable"] for row in rows)
    arguments = {row["name"]: {name: value for name, _type, value in row["arguments"]} for row in rows}
    for queue in (SIGNALS, JOBS, LEDGER):
        assert arguments[queue.name] == {
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": "dead",
            "x-dead-letter-routing-key": queue.dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        } | ({"x-single-active-consumer": True} if queue is LEDGER else {})
    for queue in QUEUES:
        assert arguments[queue.dead]["x-queue-type"] == "quorum"
    copies = [name for name in arguments if name.startswith(GATEWAY.name) and name != GATEWAY.dead]
    assert copies
    for copy in copies:
        assert arguments[copy]["x-expires"] == 60_000


async def test_what_wants_a_receipt_gets_one_when_it_is_settled_or_parked(broker_url: str) -> None:
    bus, receipts = RabbitBus(broker_url, "test"), Receipts()
    good, bad, silent = requested(), requested(), requested()
    settled = Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        assert good.id not in receipts.ids, "not before it is settled"
        if bad in messages:
            raise Poison("no such market")
        await settled(messages)

    async with bus.running(), bus.consuming(EXECUTOR_RECEIPTS, receipts), bus.consuming(JOBS, handle):
        envelopes = [replace(envelope, wants_receipt=True) for envelope in enveloped([good, bad])]
        await bus.publish([*envelopes, Envelope.of(silent)], within_s=5)
        await settled.has(good, silent)
        await eventually(lambda: {good.id, bad.id} <= set(receipts.ids))
    assert receipts.queues == {JOBS.name}
    assert silent.id not in receipts.ids


class Receipts:
    """A handler that remembers what it was told of."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.queues: set[str] = set()

    async def __call__(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message, ReceiptGiven)
            self.ids += message.message_ids
            self.queues.add(message.queue)
