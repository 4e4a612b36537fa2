"""A gateway over a fake bus, served on a real port, with one futures bot."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from services.webhook_gateway.app import build
from services.webhook_gateway.settings import SECRET_CONTEXT, Settings
from shared.bus import Envelope, Handler, Queue
from shared.clock import Clock
from shared.contracts import BotEntry, EncryptedSecret, Message, SignalReceived, parse
from shared.sealing import Cipher, new_key
from shared.service import Service, State
from shared.web import server

SECRET = "minha-senha-super-secreta"
PATH = "scalper-btc-5min"
BOT_ID = UUID("123e4567-e89b-12d3-a456-426614174000")
KEY = new_key()


@pytest.fixture
def key() -> str:
    return KEY


def seal(secret: str, valid_until: datetime | None = None) -> EncryptedSecret:
    return EncryptedSecret(token=Cipher(KEY, SECRET_CONTEXT).encrypt(SecretStr(secret)), valid_until=valid_until)


def an_entry(**changes: Any) -> BotEntry:
    fields: dict[str, Any] = {
        "bot_id": BOT_ID,
        "revision": 1,
        "webhook_path": PATH,
        "secrets": (seal(SECRET),),
        "status": "active",
        "market_type": "futures",
        "rate_limit_per_minute": 10,
    }
    return BotEntry(**fields | changes)


@pytest.fixture(name="an_entry")
def an_entry_fixture() -> Callable[..., BotEntry]:
    return an_entry


@pytest.fixture(name="seal")
def seal_fixture() -> Callable[..., EncryptedSecret]:
    return seal


@dataclass
class FakeBus:
    """Keeps what is published; `failure` is raised instead; `on_publish` runs before publish returns."""

    published: list[Envelope] = field(default_factory=list)
    failure: Exception | None = None
    on_publish: Callable[[SignalReceived], Awaitable[None]] | None = None
    handler: Handler | None = None
    gives_receipts: bool = False

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        if self.failure is not None:
            raise self.failure
        self.published += envelopes
        if self.on_publish is not None:
            await self.on_publish(self.signals[-1])

    @asynccontextmanager
    async def consuming(self, _queue: Queue, handler: Handler) -> AsyncIterator[None]:
        self.handler = handler
        yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    def waiting_for(self) -> str | None:
        return None

    async def deliver(self, *messages: Message) -> None:
        assert self.handler is not None
        await self.handler(messages)

    @property
    def signals(self) -> list[SignalReceived]:
        parsed = [parse(envelope.type, envelope.body) for envelope in self.published]
        return [message for message in parsed if isinstance(message, SignalReceived)]


@asynccontextmanager
async def served(service: Service, *, until_ready: bool = True) -> AsyncIterator[TestClient[Any, Any]]:
    """The service on a port of its own, its parts running."""
    state = State(service)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(TestClient(TestServer(server.application([state]))))
        for part in service.parts:
            await stack.enter_async_context(part())
        state.started = True
        while until_ready and (await client.get("/readyz")).status != 200:
            pass
        yield client


@dataclass
class Gateway:
    """A running gateway and what stands around it."""

    client: TestClient[Any, Any]
    bus: FakeBus

    async def post(self, body: Any, path: str = PATH, **options: Any) -> ClientResponse:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.client.post(f"/api/v1/bots/webhook/master/{path}", data=data, **options)


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Start]:
    """Starts gateways that know `bots`, with further settings."""
    async with AsyncExitStack() as stack:

        async def start_one(*bots: BotEntry, **settings: Any) -> Gateway:
            async def snapshot() -> Sequence[BotEntry]:
                return bots or (an_entry(),)

            bus = FakeBus()
            service = build(Settings(webhook_secret_keys=SecretStr(KEY), **settings), bus, clock, snapshot)
            return Gateway(await stack.enter_async_context(served(service)), bus)

        yield start_one


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """A gateway with one active futures bot."""
    return await start()


@pytest.fixture
def alert() -> dict[str, Any]:
    """The source document's own alert."""
    return {"ticker": "BTCUSDT", "action": "buy", "secret": SECRET, "price": 95234.5}


@pytest.fixture(name="served")
def served_fixture() -> Callable[..., Any]:
    return served


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()
