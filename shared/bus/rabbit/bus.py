"""RabbitBus: publishing with confirmations, and the two connections."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from shared.bus import Envelope, Handler, PublishFailed, PublishUnknown, Queue
from shared.bus.delivery import DeadLetter, Settler
from shared.bus.rabbit.consumer import Consumer
from shared.bus.rabbit.declare import EXCHANGES, declare, declaring
from shared.bus.rabbit.link import Link, Lost, losing
from shared.bus.topology import QUEUES, Exchange, exchange_of
from shared.clock import SystemClock
from shared.contracts import ReceiptGiven
from shared.errors import Transient
from shared.ids import fresh
from shared.service import background

_PORTS = {"amqp": 5672, "amqps": 5671}
_DRAIN_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class _Channels:
    """For publishing: one channel for messages and one for dead letters, which may carry the same message id."""

    live: AbstractChannel
    dead: AbstractChannel


class RabbitBus:
    """The bus of separate processes."""

    gives_receipts = True

    def __init__(self, url: str, name: str, queues: Sequence[Queue] = QUEUES) -> None:
        """`url` with user, password and virtual host; `name` is shown to the broker's operator."""
        self._queues = queues
        # two connections: a broker short of memory stops reading from those that publish, acknowledgements included
        self._publishing = Link(url, f"{name} publishing", self._open_channels)
        self._consuming = Link(url, f"{name} consuming", _as_it_is)
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._burying = asyncio.Lock()
        self._consumers: set[Consumer] = set()
        place = urlsplit(url)
        self._broker = f"RabbitMQ at {place.hostname}:{place.port or _PORTS[place.scheme]}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, declare the topology, stay connected. Waits for a broker that is away."""
        async with self._publishing.running(), self._consuming.running():
            try:
                yield
            finally:
                if self._sending:
                    await asyncio.wait(self._sending.values(), timeout=_DRAIN_WITHIN_S)

    def waiting_for(self) -> str | None:
        """The broker while one of the connections is away, else what a consumer waits for."""
        if self._publishing.current is None or self._consuming.current is None:
            return self._broker
        return next(filter(None, (consumer.waiting_for() for consumer in self._consumers)), None)

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        """Publish all and wait for the broker's confirmations. See shared.bus.Bus."""
        sends: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(within_s):
                channel = (await self._publishing.session()).live
                sends = [self._start(channel, envelope) for envelope in envelopes]
                if sends:
                    await asyncio.wait(sends)
        except TimeoutError as error:
            if not sends:
                raise PublishFailed(f"{self._broker} is away") from error
            raise PublishUnknown(f"not confirmed in {within_s} s") from error
        for send in sends:
            send.result()

    def _start(self, channel: AbstractChannel, envelope: Envelope) -> "asyncio.Task[None]":
        """Send it, or join the attempt that still waits for its answer."""
        if envelope.id not in self._sending:
            exchange = exchange_of(envelope.type)
            task = asyncio.create_task(_send(channel, exchange, envelope.type, envelope, {}))
            self._sending[envelope.id] = task

            def forget(done: "asyncio.Task[None]") -> None:
                del self._sending[envelope.id]
                if not done.cancelled():
                    done.exception()  # read it: whoever waited may have left

            task.add_done_callback(forget)
        return self._sending[envelope.id]

    async def _bury(self, letter: DeadLetter) -> None:
        if (channels := self._publishing.current) is None:
            raise Transient(self._broker)
        async with self._burying:  # one at a time: several queues may bury the same message
            try:
                await _send(channels.dead, Exchange.DEAD, letter.queue.dead, letter.envelope, letter.headers())
            except (PublishFailed, PublishUnknown) as error:
                raise Transient(f"{self._broker}: {error}") from error

    def _give_receipt(self, queue: Queue, settled: Sequence[Envelope]) -> None:
        """Say what is settled. One that gets lost is missed by its sender, who asks, and gets another."""
        ids = tuple(envelope.id for envelope in settled if envelope.wants_receipt)
        if ids and (channels := self._publishing.current) is not None:
            receipt = ReceiptGiven(id=fresh(), occurred_at=SystemClock().now(), queue=queue.name, message_ids=ids)
            self._start(channels.live, Envelope.of(receipt))

    async def _open_channels(self, connection: AbstractConnection, lost: asyncio.Event) -> _Channels:
        async with declaring(connection) as channel:
            for exchange, kind in EXCHANGES.items():
                await channel.declare_exchange(exchange, kind, durable=True)
            for queue in self._queues:
                await declare(channel, queue, None if queue.broadcast else queue.name)
        channels = _Channels(
            await connection.channel(on_return_raises=True), await connection.channel(on_return_raises=True)
        )
        channels.live.close_callbacks.add(lambda *_: lost.set())
        channels.dead.close_callbacks.add(lambda *_: lost.set())
        return channels

    @asynccontextmanager
    async def consuming(self, queue: Queue, handler: Handler) -> AsyncIterator[None]:
        """Consume for the length of the block, across reconnections. See shared.bus.Bus."""
        consumer = Consumer(self._consuming, queue, Settler(queue, handler, self._bury), self._give_receipt)
        self._consumers.add(consumer)
        try:
            async with background(f"{queue.name} consumer", consumer.run):
                await consumer.attached.wait()
                try:
                    yield
                finally:
                    await consumer.finish()
        finally:
            self._consumers.discard(consumer)


async def _as_it_is(connection: AbstractConnection, _lost: asyncio.Event) -> AbstractConnection:
    return connection


async def _send(
    channel: AbstractChannel, exchange: Exchange, key: str, envelope: Envelope, headers: dict[str, str]
) -> None:
    message = aio_pika.Message(
        envelope.body,
        message_id=str(envelope.id),
        type=envelope.type,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        headers=dict(headers),
        reply_to=str(Exchange.RECEIPTS) if envelope.wants_receipt else None,
    )
    try:
        with losing():
            try:
                await (await channel.get_exchange(exchange, ensure=False)).publish(message, key, mandatory=True)
            except (PublishError, DeliveryError) as error:
                raise PublishFailed(f"{envelope.type} to {exchange}: {error!r}") from error
    except Lost as error:
        raise PublishUnknown(str(error)) from error
