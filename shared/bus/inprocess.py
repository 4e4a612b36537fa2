"""The bus of the one-process mode: the same topology and promises as RabbitMQ's, in memory.

`publish` resolves when every bound queue has settled each message, so the outbox's row outlives the receiver's commit
and nothing is lost when the process dies. A handler must therefore never publish (its transaction stores messages, the
relay publishes them): it would wait for itself.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from shared.bus import Envelope, Handler, PublishFailed, PublishUnknown, Queue
from shared.bus.delivery import DeadLetter, Settler
from shared.bus.topology import QUEUES, exchange_of
from shared.service import background

_CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class _Parcel:
    envelope: Envelope
    settled: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class _Line:
    """One queue: what waits, and who consumes."""

    def __init__(self) -> None:
        self.consumers = 0
        self.active = asyncio.Lock()
        self._waiting: deque[_Parcel] = deque()
        self._unsettled: dict[UUID, _Parcel] = {}
        self._changed = asyncio.Event()

    async def put(self, envelope: Envelope) -> "asyncio.Future[None]":
        """Queue it when somebody consumes and there is room; what is on its way already is not queued again."""
        await self._until(lambda: self.consumers > 0 and len(self._waiting) < _CAPACITY)
        parcel = self._unsettled.get(envelope.id)
        if parcel is None:
            parcel = self._unsettled[envelope.id] = _Parcel(envelope)
            self._waiting.append(parcel)
            self._change()
        return parcel.settled

    async def take(self, at_most: int) -> list[_Parcel]:
        await self._until(lambda: bool(self._waiting))
        batch = [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
        self._change()
        return batch

    def give_back(self, batch: Sequence[_Parcel]) -> None:
        self._waiting.extendleft(reversed(batch))
        self._change()

    def settle(self, batch: Sequence[_Parcel]) -> None:
        for parcel in batch:
            del self._unsettled[parcel.envelope.id]
            parcel.settled.set_result(None)

    def abandon(self) -> None:
        """Nobody will ever consume again: no publisher need wait."""
        self.settle(list(self._unsettled.values()))

    @asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        self.consumers += 1
        self._change()
        try:
            yield
        finally:
            self.consumers -= 1

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class InProcessBus:
    """One bus for all services of this process; enter it once."""

    gives_receipts = False  # `publish` returns when all is settled

    def __init__(self, queues: Sequence[Queue] = QUEUES) -> None:
        self._lines = {queue: _Line() for queue in queues if not queue.broadcast}
        self._copies: dict[Queue, list[_Line]] = {queue: [] for queue in queues if queue.broadcast}
        self._settlers: set[Settler] = set()
        self._dead: defaultdict[Queue, list[DeadLetter]] = defaultdict(list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Nothing to connect to."""
        yield

    def dead(self, queue: Queue) -> list[Envelope]:
        """What `queue` could not settle since the process began."""
        return [letter.envelope for letter in self._dead[queue]]

    def waiting_for(self) -> str | None:
        """What a handler waits for, null when none does."""
        return next((settler.waiting_for for settler in self._settlers if settler.waiting_for), None)

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        """Return when every bound queue has settled all. See shared.bus.Bus."""
        try:
            async with asyncio.timeout(within_s):
                settled = [await line.put(envelope) for envelope in envelopes for line in self._bound(envelope)]
                if settled:
                    await asyncio.wait(settled)  # leaves the futures alone when time runs out: others share them
        except TimeoutError as error:
            raise PublishUnknown(f"not settled in {within_s} s") from error

    def _bound(self, envelope: Envelope) -> list[_Line]:
        def bound(queue: Queue) -> bool:
            return queue.exchange is exchange_of(envelope.type) and queue.takes(envelope.type)

        lines = [line for queue, line in self._lines.items() if bound(queue)]
        lines += [line for queue, copies in self._copies.items() if bound(queue) for line in copies]
        if not lines:
            raise PublishFailed(f"nobody takes {envelope.type}")
        return lines

    @asynccontextmanager
    async def consuming(self, queue: Queue, handler: Handler) -> AsyncIterator[None]:
        """Consume for the length of the block. See shared.bus.Bus."""

        async def bury(letter: DeadLetter) -> None:
            self._dead[queue].append(letter)

        settler, idle = Settler(queue, handler, bury), asyncio.Lock()
        async with self._line(queue) as line, line.attended():
            self._settlers.add(settler)
            try:
                async with background(f"{queue.name} consumer", lambda: _consume(line, queue, settler, idle)):
                    try:
                        yield
                    finally:
                        settler.stop()
                        async with idle:  # the running handler finishes
                            pass
            finally:
                self._settlers.discard(settler)

    @asynccontextmanager
    async def _line(self, queue: Queue) -> AsyncIterator[_Line]:
        if not queue.broadcast:
            yield self._lines[queue]
            return
        line = _Line()
        self._copies[queue].append(line)
        try:
            yield line
        finally:
            self._copies[queue].remove(line)
            line.abandon()


async def _consume(line: _Line, queue: Queue, settler: Settler, idle: asyncio.Lock) -> None:
    async with AsyncExitStack() as stack:
        if queue.single_active:
            await stack.enter_async_context(line.active)
        while True:
            batch = await line.take(queue.batch_max)
            try:
                async with idle:
                    if await settler.settle([parcel.envelope for parcel in batch]):
                        line.settle(batch)
                        batch = []
            finally:
                line.give_back(batch)
