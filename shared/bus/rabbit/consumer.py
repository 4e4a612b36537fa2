"""Consuming one queue, across reconnections."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from shared.bus import Envelope, Queue
from shared.bus.delivery import Settler
from shared.bus.rabbit.declare import declare, declaring
from shared.bus.rabbit.link import RECONNECT_AFTER_S, Link, Lost, losing
from shared.bus.topology import Exchange
from shared.ids import derived

log = structlog.get_logger()


class Consumer:
    """One consumer of one queue: takes what has arrived, a batch at a time."""

    def __init__(
        self,
        link: Link[AbstractConnection],
        queue: Queue,
        settler: Settler,
        give_receipt: Callable[[Queue, Sequence[Envelope]], None],
    ) -> None:
        self.attached = asyncio.Event()
        self._idle = asyncio.Lock()
        self._link = link
        self._queue = queue
        self._name = f"{queue.name}.{uuid4()}" if queue.broadcast else queue.name
        self._settler = settler
        self._give_receipt = give_receipt

    def waiting_for(self) -> str | None:
        """What keeps messages from being settled, null when nothing does."""
        return self._settler.waiting_for if self.attached.is_set() else f"queue {self._name}"

    async def finish(self) -> None:
        """Let the running handler finish. Whoever runs `run` then cancels it."""
        self._settler.stop()
        async with self._idle:
            pass

    async def run(self) -> None:
        """Consume until the channel is lost; begin again for ever."""
        while True:
            connection = await self._link.session()
            try:
                with losing():
                    await self._consume(connection)
            except Lost as error:
                self.attached.clear()
                log.warning("consumer_lost", queue=self._name, again_in_s=RECONNECT_AFTER_S, reason=str(error))
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _consume(self, connection: AbstractConnection) -> None:
        async with declaring(connection) as channel:
            await declare(channel, self._queue, self._name)
        inbox: _Inbox = asyncio.Queue()
        async with connection.channel(publisher_confirms=False) as channel:
            channel.close_callbacks.add(lambda *_: inbox.put_nowait(None))
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: inbox.put_nowait(None))
            await channel.set_qos(prefetch_count=2 * self._queue.batch_max)
            await (await channel.get_queue(self._name, ensure=False)).consume(inbox.put)
            self.attached.set()
            while True:
                batch = await _take(inbox, self._queue.batch_max)
                async with self._idle:
                    # not settled means told to stop: we are cancelled next, and closing the channel hands it all back
                    envelopes = [_envelope(message) for message in batch]
                    if await self._settler.settle(envelopes):
                        await batch[-1].ack(multiple=True)
                        self._give_receipt(self._queue, envelopes)


_Inbox = asyncio.Queue[AbstractIncomingMessage | None]  # None: the channel or the consumer is gone


async def _take(inbox: _Inbox, at_most: int) -> list[AbstractIncomingMessage]:
    """What has arrived: at least one, at most `at_most`, without waiting for more."""
    batch: list[AbstractIncomingMessage] = []
    while not batch or (len(batch) < at_most and not inbox.empty()):
        message = await inbox.get()
        if message is None:
            raise Lost("channel closed or consumer cancelled by the broker")
        batch.append(message)
    return batch


def _envelope(message: AbstractIncomingMessage) -> Envelope:
    """A message that is none of ours gets an id that follows from its content; parsing it will refuse it."""
    try:
        id_ = UUID(message.message_id)
    except (TypeError, ValueError):
        id_ = derived("foreign message", message.message_id, message.body.hex())
    return Envelope(id_, message.type or "", message.body, message.reply_to == Exchange.RECEIPTS)
