"""What every transport promises. Each test runs on RabbitMQ and in process."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from shared.bus import Bus, Envelope, Poison, PublishFailed, Transient
from shared.bus.tests.conftest import Transport
from shared.bus.tests.support import Gate, Inbox, bot_changed, enveloped, eventually, received, requested, subscribed
from shared.bus.topology import GATEWAY, JOBS, LEDGER, SIGNALS, Exchange, Queue
from shared.contracts import Message


async def send(bus: Bus, *messages: Message) -> None:
    await bus.publish(enveloped(messages), within_s=10)


async def test_a_message_goes_to_every_queue_bound_to_its_type_and_to_no_other(bus: Bus) -> None:
    signals, jobs, ledger = Inbox(), Inbox(), Inbox()
    signal, job, fact = received(), requested(), subscribed()
    async with bus.consuming(SIGNALS, signals), bus.consuming(JOBS, jobs), bus.consuming(LEDGER, ledger):
        await send(bus, signal, job, fact)
        await signals.has(signal)
        await jobs.has(job)
        await ledger.has(signal, fact)
    assert signals.ids == [signal.id]
    assert jobs.ids == [job.id]
    assert set(ledger.ids) == {signal.id, fact.id}


async def test_a_binding_that_ends_in_a_star_takes_the_types_that_begin_so(transport: Transport) -> None:
    some = Queue("bot_registry.signals", Exchange.FACTS, ("signal.*", "bot.*"), batch_max=10)
    rest = Queue("ledger.facts", Exchange.FACTS, ("*",), batch_max=10)
    bus = transport.make((some, rest))
    prefixed, everything = Inbox(), Inbox()
    signal, bot, other = received(), bot_changed(), subscribed()
    async with bus.running(), bus.consuming(some, prefixed), bus.consuming(rest, everything):
        await send(bus, signal, bot, other)
        await everything.has(signal, bot, other)
        await prefixed.has(signal, bot)
    assert set(prefixed.ids) == {signal.id, bot.id}


async def test_a_message_that_nobody_takes_is_refused(transport: Transport) -> None:
    bus = transport.make((JOBS,))
    async with bus.running():
        with pytest.raises(PublishFailed):
            await send(bus, subscribed())


async def test_what_has_arrived_is_handled_in_batches_up_to_the_queues_maximum(bus: Bus) -> None:
    jobs = [requested() for _ in range(45)]
    inbox = Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        await inbox(messages)
        await asyncio.sleep(0.01)

    async with bus.consuming(JOBS, handle):
        await send(bus, *jobs)
        await inbox.has(*jobs)
    assert sorted(inbox.ids) == sorted(job.id for job in jobs)
    assert 1 < max(map(len, inbox.batches)) <= JOBS.batch_max


async def test_one_poisonous_message_of_a_batch_dies_alone_and_the_others_are_settled(
    bus: Bus, transport: Transport
) -> None:
    jobs = [requested() for _ in range(25)]
    bad = jobs[7]
    settled: list[UUID] = []
    tried: list[int] = []

    async def handle(messages: Sequence[Message]) -> None:
        await asyncio.sleep(0.005)  # let a batch gather
        if bad in messages:
            tried.append(len(messages))
            raise Poison("no such market")
        settled.extend(message.id for message in messages)

    async with bus.consuming(JOBS, handle):
        await send(bus, *jobs)
        await eventually(lambda: len(settled) >= 24)
    assert sorted(settled) == sorted(job.id for job in jobs if job is not bad)
    assert await transport.reasons(bus, JOBS) == {bad.id: "Poison: no such market"}
    assert tried.count(1) == 1, "poison is not tried again"


@pytest.mark.parametrize("body", [b"{not json", b"{}", b"[1]", b"\xff"])
async def test_a_body_that_is_no_message_dies_at_once_and_holds_nothing_up(
    bus: Bus, transport: Transport, body: bytes
) -> None:
    good, bad = requested(), Envelope(uuid4(), requested().TYPE, body)
    inbox = Inbox()
    async with bus.consuming(JOBS, inbox):
        await bus.publish([bad, Envelope.of(good)], within_s=10)
        await inbox.has(good)
    assert inbox.ids == [good.id]
    dead = await transport.reasons(bus, JOBS)
    assert list(dead) == [bad.id]
    assert dead[bad.id].startswith("Unreadable: ")


async def test_a_message_that_cannot_be_handled_now_is_held_and_the_bus_says_what_it_waits_for(
    bus: Bus, transport: Transport
) -> None:
    tries, said, there = 0, [], asyncio.Event()

    async def handle(_messages: Sequence[Message]) -> None:
        nonlocal tries
        tries += 1
        said.append(bus.waiting_for())
        if tries < 4:  # more often than a crash would be forgiven
            raise Transient("database ledger is away")
        there.set()

    async with bus.consuming(JOBS, handle):
        sending = asyncio.create_task(send(bus, requested()))
        await eventually(there.is_set)
        await sending
        await eventually(lambda: bus.waiting_for() is None)
    assert said == [None] + ["database ledger is away"] * 3
    assert await transport.reasons(bus, JOBS) == {}


async def test_a_held_message_that_turns_out_to_be_poison_is_waited_for_no_longer(
    bus: Bus, transport: Transport
) -> None:
    job, tries = requested(), Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        await tries(messages)
        raise Transient("away") if len(tries.batches) == 1 else Poison("bad")

    async with bus.consuming(JOBS, handle):
        await send(bus, job)
        await eventually(lambda: len(tries.batches) == 2 and bus.waiting_for() is None)
    assert list(await transport.reasons(bus, JOBS)) == [job.id]


async def test_a_held_message_is_left_to_the_next_consumer_when_its_own_ends(bus: Bus) -> None:
    async def never(_messages: Sequence[Message]) -> None:
        raise Transient("away")

    job, inbox = requested(), Inbox()
    async with bus.consuming(JOBS, never):
        sending = asyncio.create_task(send(bus, job))
        await eventually(lambda: bus.waiting_for() is not None)
    assert bus.waiting_for() is None
    async with bus.consuming(JOBS, inbox):
        await inbox.has(job)
        await sending


async def test_a_message_that_crashes_its_handler_three_times_is_dead_with_the_reason_but_without_its_content(
    bus: Bus, transport: Transport
) -> None:
    job, tries = requested(), Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        await tries(messages)
        raise KeyError("api_secret of the customer")

    async with bus.consuming(JOBS, handle):
        await send(bus, job)
        await eventually(lambda: len(tries.batches) == 3)
    reason = (await transport.reasons(bus, JOBS))[job.id]
    assert tries.ids == [job.id] * 3
    assert reason.startswith("KeyError at ")
    assert "customer" not in reason


async def test_a_handler_that_recovers_from_a_crash_settles_the_message(bus: Bus, transport: Transport) -> None:
    tries = Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        await tries(messages)
        if len(tries.batches) < 3:
            raise RuntimeError

    async with bus.consuming(JOBS, handle):
        await send(bus, requested())
        await eventually(lambda: len(tries.batches) == 3)
    assert await transport.reasons(bus, JOBS) == {}


async def test_a_cancellation_that_leaks_from_inside_a_handler_neither_settles_nor_kills(
    bus: Bus, transport: Transport
) -> None:
    job, tries = requested(), Inbox()

    async def handle(messages: Sequence[Message]) -> None:
        await tries(messages)
        if len(tries.batches) == 1:
            raise asyncio.CancelledError

    async with bus.consuming(JOBS, handle):
        await send(bus, job)
        await eventually(lambda: tries.ids == [job.id] * 2)
    assert await transport.reasons(bus, JOBS) == {}


async def test_what_a_cancelled_consumer_had_in_hand_goes_to_the_next(bus: Bus, transport: Transport) -> None:
    job, stuck, next_one = requested(), Gate(), Inbox()

    async def consume() -> None:
        async with bus.consuming(JOBS, stuck):
            await stuck.entered.wait()

    consumer = asyncio.create_task(consume())
    sending = asyncio.create_task(send(bus, job))
    await eventually(stuck.entered.is_set)
    await asyncio.sleep(0.01)  # now the consumer waits for its handler to finish
    consumer.cancel()
    with suppress(asyncio.CancelledError):
        await consumer
    assert stuck.cancelled
    async with bus.consuming(JOBS, next_one):
        await next_one.has(job)
        await sending
    assert await transport.reasons(bus, JOBS) == {}


async def test_the_end_of_consuming_waits_for_the_running_handler_and_settles_its_batch(bus: Bus) -> None:
    first, second, running, next_one = requested(), requested(), Gate(), Inbox()
    async with bus.consuming(JOBS, running):
        sending = asyncio.create_task(send(bus, first))
        await eventually(running.entered.is_set)
        asyncio.get_running_loop().call_later(0.03, running.let_go.set)
    assert running.finished == [first.id]
    await sending
    async with bus.consuming(JOBS, next_one):
        await send(bus, second)
        await next_one.has(second)
    assert next_one.ids == [second.id]


async def test_after_the_end_of_consuming_no_new_batch_is_begun(bus: Bus) -> None:
    signals = [received() for _ in range(6)]
    running, rest, ledger = Gate(), Inbox(), Inbox()
    async with bus.consuming(LEDGER, ledger):
        async with bus.consuming(SIGNALS, running):
            sending = asyncio.create_task(send(bus, *signals))
            await eventually(running.entered.is_set)
            asyncio.get_running_loop().call_later(0.03, running.let_go.set)
        assert len(running.ids) == 1
        async with bus.consuming(SIGNALS, rest):
            await sending
            await eventually(lambda: len(rest.ids) == 5)
    assert sorted(running.ids + rest.ids) == sorted(signal.id for signal in signals)


async def test_a_broadcast_reaches_every_consumer(bus: Bus) -> None:
    one, two, ledger, change = Inbox(), Inbox(), Inbox(), bot_changed()
    async with bus.consuming(LEDGER, ledger), bus.consuming(GATEWAY, one), bus.consuming(GATEWAY, two):
        await send(bus, change)
        await one.has(change)
        await two.has(change)
    assert one.ids == two.ids == [change.id]


async def test_nobody_waits_for_a_broadcast_reader_that_has_left(bus: Bus) -> None:
    async def never(_messages: Sequence[Message]) -> None:
        raise Transient("away")

    ledger, change, later = Inbox(), bot_changed(), bot_changed()
    async with bus.consuming(LEDGER, ledger):
        async with bus.consuming(GATEWAY, never):
            sending = asyncio.create_task(send(bus, change))
            await eventually(lambda: bus.waiting_for() is not None)
        await sending
        await send(bus, later)
        await ledger.has(change, later)


async def test_a_single_active_queue_has_one_consumer_at_a_time_and_another_takes_over(bus: Bus) -> None:
    active, standby = Gate(), Inbox()
    facts, last = [subscribed() for _ in range(40)], subscribed()
    async with bus.consuming(LEDGER, active):
        first = asyncio.create_task(send(bus, facts[0]))
        await eventually(active.entered.is_set)
        next_one = bus.consuming(LEDGER, standby)
        await next_one.__aenter__()
        rest = asyncio.create_task(send(bus, *facts[1:]))
        await asyncio.sleep(0.03)
        active.let_go.set()
        await active.has(*facts)
        await asyncio.gather(first, rest)
    await send(bus, last)
    await standby.has(last)
    await next_one.__aexit__(None, None, None)
    assert standby.ids == [last.id]


async def test_two_consumers_share_a_queue_without_doubling(bus: Bus) -> None:
    jobs, one, two = [requested() for _ in range(60)], Inbox(), Inbox()

    async def slowly(inbox: Inbox, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0.005)
        await inbox(messages)

    async with (
        bus.consuming(JOBS, lambda messages: slowly(one, messages)),
        bus.consuming(JOBS, lambda messages: slowly(two, messages)),
    ):
        await send(bus, *jobs)
        await eventually(lambda: len(one.ids) + len(two.ids) >= 60)
    assert sorted(one.ids + two.ids) == sorted(job.id for job in jobs)
    assert one.ids
    assert two.ids


async def test_a_busy_consumer_leaves_the_rest_to_others(bus: Bus) -> None:
    signals = [received() for _ in range(10)]
    busy, free, ledger = Gate(), Inbox(), Inbox()
    async with bus.consuming(LEDGER, ledger), bus.consuming(SIGNALS, busy):
        sending = asyncio.create_task(send(bus, *signals))
        await eventually(busy.entered.is_set)
        async with bus.consuming(SIGNALS, free):
            await eventually(lambda: len(free.ids) >= 8)  # two at most may wait with the busy one
            busy.let_go.set()
            await sending
            await eventually(lambda: len(busy.ids) + len(free.ids) == 10)


async def test_the_same_message_published_twice_at_once_travels_once(bus: Bus) -> None:
    job, marker, inbox = requested(), requested(), Inbox()
    async with bus.consuming(JOBS, inbox):
        await asyncio.gather(send(bus, job), send(bus, job), send(bus, job))
        await send(bus, marker)
        await inbox.has(job, marker)
    assert sorted(inbox.ids) == sorted([job.id, marker.id])


async def test_publishing_nothing_is_done_at_once(bus: Bus) -> None:
    await bus.publish([], within_s=0.1)
