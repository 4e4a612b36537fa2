"""What the bus's tests share: messages to send, handlers that remember, a wire that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.bus import Envelope
from shared.contracts import (
    Action,
    BotChanged,
    BotEntry,
    ExecutionRequested,
    Message,
    Signal,
    SignalReceived,
    SubscriptionChanged,
)

MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def signal() -> Signal:
    return Signal(
        signal_id=uuid4(),
        bot_id=uuid4(),
        action=Action.BUY,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=None,
        source_ip="192.0.2.1",
        received_at=MOMENT,
        body_digest="0" * 64,
    )


def received() -> SignalReceived:
    return SignalReceived(id=uuid4(), occurred_at=MOMENT, signal=signal(), payload={})


def requested() -> ExecutionRequested:
    return ExecutionRequested(id=uuid4(), occurred_at=MOMENT, signal=signal(), jobs=())


def subscribed() -> SubscriptionChanged:
    return SubscriptionChanged(
        id=uuid4(), occurred_at=MOMENT, subscription_id=uuid4(), bot_id=uuid4(), user_id=uuid4(), status="active"
    )


def bot_changed() -> BotChanged:
    bot = BotEntry(
        bot_id=uuid4(),
        revision=1,
        webhook_path="p",
        secrets=(),
        status="active",
        market_type="futures",
        rate_limit_per_minute=10,
    )
    return BotChanged(id=uuid4(), occurred_at=MOMENT, bot=bot)


def enveloped(messages: Sequence[Message]) -> list[Envelope]:
    return [Envelope.of(message) for message in messages]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the test fails when it does not within ten seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


class Inbox:
    """A handler that remembers what it got."""

    def __init__(self) -> None:
        self.batches: list[list[UUID]] = []

    async def __call__(self, messages: Sequence[Message]) -> None:
        self.batches.append([message.id for message in messages])

    @property
    def ids(self) -> list[UUID]:
        return [id_ for batch in self.batches for id_ in batch]

    async def has(self, *messages: Message) -> None:
        """Wait for all of these."""
        await eventually(lambda: {message.id for message in messages} <= set(self.ids))


class Gate(Inbox):
    """A handler that stays inside until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()
        self.finished: list[UUID] = []
        self.cancelled = False

    async def __call__(self, messages: Sequence[Message]) -> None:
        await super().__call__(messages)
        self.entered.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.finished += [message.id for message in messages]


class Wire:
    """A TCP proxy before the broker that can be cut, frozen or not be there at all."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, on the same port each time."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse new connections and cut those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)


@asynccontextmanager
async def wire(host: str, port: int) -> AsyncIterator[Wire]:
    """A wire that does not listen yet but knows on which port it will."""
    proxy = Wire(host, port)
    await proxy.open()
    await proxy.shut()
    try:
        yield proxy
    finally:
        proxy.thaw()
        await proxy.shut()
