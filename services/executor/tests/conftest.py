"""A paper exchange and an executor over it, in this process and over real connections."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web
from ccxt.async_support.binanceusdm import binanceusdm
from pydantic import SecretStr

from services.executor import tables
from services.executor.app import build
from services.executor.settings import Settings
from services.executor.store import Store
from services.executor.timing import Timing
from services.executor.watcher.app import build as build_watcher
from services.paper_exchange.app import build as build_paper_exchange
from services.paper_exchange.settings import Settings as PaperSettings
from shared import ids, sealing
from shared.bus import Envelope
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import LEDGER
from shared.clock import SystemClock
from shared.contracts import (
    Action,
    ExecutionFinished,
    ExecutionRequested,
    ExecutionResolveRequested,
    Job,
    Message,
    PositionClosed,
    PositionOpened,
    Signal,
    TradeConfig,
    Verdict,
)
from shared.db import migrate
from shared.db.database import Database

SYMBOL = "BTCUSDT"
PRICE = Decimal("95234.50")


# the protocol's waits, shortened: what they are for is in Timing
QUICK = Timing(recv_window_ms=800, lag_margin_ms=200, ask_again_ms=50, lease_margin_ms=100)


class Paper:
    """The paper exchange's own controls."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.url + path, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json(content_type=None)

    async def account(self, **options: Any) -> tuple[str, str]:
        made = await self._call("POST", "/paper/accounts", options)
        return made["api_key"], made["api_secret"]

    async def state(self, api_key: str) -> Any:
        return await self._call("GET", f"/paper/accounts/{api_key}")

    async def price(self, price: object, symbol: str = SYMBOL) -> None:
        await self._call("PUT", f"/paper/prices/{symbol}", {"price": str(price)})

    async def thin_book(self, share_pct: str, **book: Any) -> None:
        """The next market order of a side fills to this share; the rest expires."""
        await self._call("PUT", f"/paper/books/{SYMBOL}", {"fills": [{"share_pct": share_pct}]} | book)

    async def no_faults(self) -> None:
        await self._call("DELETE", "/paper/faults")

    async def faults(self) -> int:
        """How many faults nobody has met yet."""
        await self.fault("error", code=-1000, path="/nowhere")
        return int((await self._call("POST", "/paper/faults", {"kind": "latency", "latency_ms": 1}))["faults"]) - 2

    async def revoke(self, api_key: str) -> None:
        await self._call("DELETE", f"/paper/accounts/{api_key}")

    async def fault(self, kind: str, **options: Any) -> None:
        match = {name: options.pop(name) for name in ("method", "path", "api_key") if name in options}
        await self._call("POST", "/paper/faults", {"match": match, "kind": kind} | options)

    async def book(self, symbol: str, *fills: dict[str, str], **options: Any) -> None:
        """A thin book for the next market orders."""
        await self._call("PUT", f"/paper/books/{symbol}", {"fills": fills} | options)


@pytest.fixture
async def paper_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def paper(paper_session: aiohttp.ClientSession) -> AsyncIterator[Paper]:
    runner = web.AppRunner(build_paper_exchange(PaperSettings()), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield Paper(f"http://127.0.0.1:{port}", paper_session)
    await runner.cleanup()


@dataclass
class Customer:
    """One customer: a paper account and a subscription to one bot."""

    api_key: str
    sealed: str
    account_id: UUID
    subscription_id: UUID = field(default_factory=uuid4)
    user_id: UUID = field(default_factory=uuid4)
    sequence: int = 0


CONFIG: dict[str, Any] = {
    "market_type": "futures",
    "leverage": 10,
    "margin_usd": Decimal(100),
    "stop_loss_pct": Decimal("2.5"),
    "take_profit_pct": Decimal(5),
    "max_daily_loss_usd": None,
    "max_concurrent_positions": None,
    "on_opposite": "reverse",
    "max_entries_per_symbol": 1,
}


class House:
    """Executors on one database and one bus, and everything they tell."""

    def __init__(self, database: Database, bus: InProcessBus, paper: Paper, private_key: str) -> None:
        self.paper = paper
        self.told: list[Message] = []
        self._bus = bus
        self._database = database
        self._private_key = private_key
        self.opener = sealing.Opener(private_key)
        self._requests: list[ExecutionRequested] = []
        self._sealer = sealing.Sealer(sealing.public_key_of(private_key))
        self.settings = Settings(
            sealing_private_keys=SecretStr(private_key), paper_exchange_url=paper.url, call_timeout_ms=400
        )

    async def start(self, stack: AsyncExitStack) -> None:
        service = build(self.settings, self._database, self._bus, SystemClock(), QUICK)
        for part in service.parts:
            await stack.enter_async_context(part())

    async def start_another(self, stack: AsyncExitStack) -> None:
        """One more executor, beside the first, which closes the database."""
        for part in build(self.settings, self._database, self._bus, SystemClock(), QUICK).parts[1:]:
            await stack.enter_async_context(part())

    async def watch(self, stack: AsyncExitStack) -> None:
        for part in build_watcher(self.settings, self._database, self._bus, SystemClock()).parts[1:]:
            await stack.enter_async_context(part())  # all but the database, which is the executor's to close

    async def customer(self, **account: Any) -> Customer:
        api_key, secret = await self.paper.account(**account)
        account_id = uuid4()
        box = self._sealer.seal(sealing.Credentials(SecretStr(api_key), SecretStr(secret)), account_id)
        return Customer(api_key, box, account_id)

    async def signal(
        self,
        action: str,
        *customers: Customer,
        before: Callable[[list[UUID]], None] = lambda _ids: None,
        lost: bool = False,
        **options: Any,
    ) -> list[UUID]:
        request = self._request(action, *customers, **options)
        self._requests.append(request)
        before([job.execution_id for job in request.jobs])
        if not lost:
            await self._bus.publish([Envelope.of(request)], within_s=5)
        return [job.execution_id for job in request.jobs]

    async def store(self, action: str, customer: Customer) -> UUID:
        """A job as it lies in the database, whoever is there to take it."""
        request = self._request(action, customer)
        await Store(self._database, SystemClock(), timedelta(0)).add_jobs([request])
        return request.jobs[0].execution_id

    def _request(
        self, action: str, *customers: Customer, symbol: str | None = SYMBOL, age_s: float = 0, **config: Any
    ) -> ExecutionRequested:
        now = datetime.now(UTC)
        signal = Signal(
            signal_id=ids.fresh(),
            bot_id=uuid4(),
            action=Action(action),
            ticker=symbol,
            symbol=symbol,
            price=PRICE,
            source_ip="127.0.0.1",
            received_at=now,
            body_digest="",
        )
        jobs = []
        for customer in customers:
            customer.sequence += 1
            jobs.append(
                Job(
                    execution_id=ids.execution_id(signal.signal_id, customer.subscription_id),
                    subscription_id=customer.subscription_id,
                    user_id=customer.user_id,
                    exchange_account_id=customer.account_id,
                    environment="paper",
                    sealed_credentials=customer.sealed,
                    sequence=customer.sequence,
                    config=TradeConfig(**CONFIG | config),
                    expires_at=now + timedelta(seconds=60 - age_s) if signal.action.is_entry else None,
                )
            )
        return ExecutionRequested(id=ids.fresh(), occurred_at=now, signal=signal, jobs=tuple(jobs))

    async def tell(self, message: Message) -> None:
        await self._bus.publish([Envelope.of(message)], within_s=5)

    async def say(self, verdict: str, execution_id: UUID) -> UUID:
        """An administrator's word about an execution; returns whose."""
        user_id = uuid4()
        said = ExecutionResolveRequested(
            id=uuid4(),
            occurred_at=datetime.now(UTC),
            execution_id=execution_id,
            verdict=Verdict(verdict),
            user_id=user_id,
        )
        await self._bus.publish([Envelope.of(said)], within_s=5)
        return user_id

    async def redeliver(self) -> None:
        """The broker delivers every message so far once more, those that it had lost among them."""
        await self._bus.publish([Envelope.of(request) for request in self._requests], within_s=5)

    @asynccontextmanager
    async def client(self, credentials: sealing.Credentials) -> AsyncIterator[Any]:
        """The customer's own client: plain ccxt."""
        prefixes = {"fapiPublic": "/fapi/v1", "fapiPrivate": "/fapi/v1"}
        client = binanceusdm(
            {
                "apiKey": credentials.api_key.get_secret_value(),
                "secret": credentials.api_secret.get_secret_value(),
                "urls": {"api": {name: self.paper.url + prefix for name, prefix in prefixes.items()}},
            }
        )
        try:
            yield client
        finally:
            await client.close()

    async def finished(self, execution_id: UUID, within_s: float = 20) -> ExecutionFinished:
        async with asyncio.timeout(within_s):
            while True:
                for message in self.told:
                    if isinstance(message, ExecutionFinished) and message.execution_id == execution_id:
                        return message
                await asyncio.sleep(0.01)

    async def trade(self, action: str, customer: Customer, **options: Any) -> ExecutionFinished:
        [execution_id] = await self.signal(action, customer, **options)
        return await self.finished(execution_id)

    def opened(self) -> list[PositionOpened]:
        return [message for message in self.told if isinstance(message, PositionOpened)]

    def closed(self) -> list[PositionClosed]:
        return [message for message in self.told if isinstance(message, PositionClosed)]


@pytest.fixture
async def idle_house(paper: Paper, make_database: Callable[[str], Database]) -> AsyncIterator[House]:
    """A house whose executors are yet to be started."""
    database = make_database(tables.SCHEMA)
    await migrate.upgrade(database, "executor")
    bus = InProcessBus()
    house = House(database, bus, paper, sealing.new_key())

    async def hear(messages: Any) -> None:
        house.told.extend(messages)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus.running())
        await stack.enter_async_context(bus.consuming(LEDGER, hear))
        yield house


@pytest.fixture
async def house(idle_house: House) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        await idle_house.start(stack)
        yield idle_house
