"""Executors and the paper exchange in slow motion: the real runner, store, ccxt client and exchange without a network.

Time moves only when told to, and a request that changes something, or asks what became of one, waits until it is said
what becomes of it. So whatever order of events is thinkable can be played, thousands of them in a minute.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import ccxt
import orjson
from pydantic import SecretStr
from sqlalchemy import select

from conftest import HandClock
from services.executor import tables
from services.executor.exchange import client
from services.executor.exchange.egress import Egress
from services.executor.exchange.futures import Futures
from services.executor.perform import Performer
from services.executor.reconcile import Reconciler
from services.executor.runner import Runner
from services.executor.stops import Stops
from services.executor.store import Store
from services.executor.tests.conftest import CONFIG, PRICE, SYMBOL
from services.executor.timing import Timing
from services.paper_exchange.app import GATE
from services.paper_exchange.app import build as build_paper_exchange
from services.paper_exchange.futures.model import Account
from services.paper_exchange.http import Asked
from services.paper_exchange.keyring import Key
from services.paper_exchange.prices import Prices
from services.paper_exchange.settings import Settings as PaperSettings
from services.paper_exchange.signing import read_params
from shared import ids, sealing
from shared.clock import to_ms
from shared.contracts import (
    Action,
    ExecutionFinished,
    ExecutionRequested,
    Job,
    Message,
    Signal,
    TradeConfig,
    parse,
)
from shared.db import migrate
from shared.db.database import Database

URL = "http://paper"
TIMING = Timing()
LEASE = timedelta(seconds=12)
_SLOW = ("/fapi/v1/order", "/fapi/v1/algoOrder")  # by their methods: sent, asked about, cancelled
ResultT = TypeVar("ResultT")


@dataclass(eq=False)
class Request:
    """A signed request that waits for its fate."""

    asked: Asked
    answer: "asyncio.Future[tuple[int, Any]]"
    worker: "asyncio.Task[Any] | None"


@dataclass
class Customer:
    """One account with one subscription."""

    api_key: str
    sealed: str
    account_id: UUID
    subscription_id: UUID = field(default_factory=uuid4)
    sequence: int = 0


class World:
    """One exchange and one database, for any number of customers after one another."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock()
        self.waiting: list[Request] = []
        self.on_their_way: list[Asked] = []
        self.workers: set[asyncio.Task[None]] = set()
        app = build_paper_exchange(PaperSettings(), lambda: to_ms(self.clock.now()))
        self.gate = app[GATE]
        self.prices = Prices(self.gate)
        self.database = Database(f"sqlite+aiosqlite:///{folder}/executor.db", tables.SCHEMA)
        key = sealing.new_key()
        self.sealer, opener = sealing.Sealer(sealing.public_key_of(key)), sealing.Opener(key)
        self.store = Store(self.database, self.clock, LEASE)
        self.futures = Futures(URL, self.clock, Egress("test", 1, None), timeout_ms=5_000)
        self.reconciler = Reconciler(self.store)
        stops = Stops(self.database, self.clock, 1_000)
        markets: Any = {("paper", "futures"): self.futures}
        self.opener = opener
        performer = Performer(markets, opener, self.store, self.reconciler, stops)
        self.runner = Runner(self.store, performer, self.clock, TIMING)
        self._stack = AsyncExitStack()

    def run(self, work: Awaitable[ResultT]) -> ResultT:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    def open(self, patch: Callable[[Any, str, Any], None]) -> None:
        """Migrate, and put the exchange where the network was."""

        async def begin() -> None:
            await migrate.upgrade(self.database, "executor")
            async with self.database.engine.connect() as connection:  # the only one; no power cut is played here
                await connection.exec_driver_sql("PRAGMA synchronous=OFF")
            await self._stack.enter_async_context(self.futures.running())

        patch(client, "_Ccxt", self._direct())
        self.run(begin())

    def close(self) -> None:
        async def end() -> None:
            await self._stack.aclose()
            await self.database.engine.dispose()

        self.run(end())
        self.loop.close()

    def _direct(self) -> Any:
        world = self

        class Direct(client._Ccxt):
            async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
                status, document = await world._reach(url, method, headers or {}, body or "")
                text = orjson.dumps(document).decode() if not isinstance(document, str) else document
                self.handle_errors(status, "", url, method, {}, text, None, headers, body)
                return orjson.loads(text)

        return Direct

    async def _reach(self, url: str, method: str, headers: Any, body: str) -> tuple[int, Any]:
        path, _, query = url.removeprefix(URL).partition("?")
        asked = Asked(
            method, path, "", headers.get("X-MBX-APIKEY"), query, body, read_params(query, body), self.now_ms()
        )
        if path not in _SLOW:
            return self.arrive(asked)
        worker = asyncio.current_task()
        request = Request(asked, self.loop.create_future(), worker if worker in self.workers else None)
        if request.worker is None:  # no executor's
            return self.arrive(asked)
        self.waiting.append(request)
        return await request.answer

    def now_ms(self) -> int:
        return to_ms(self.clock.now())

    def arrive(self, asked: Asked) -> tuple[int, Any]:
        """The exchange gets a request now."""
        status, document, _ = self.gate.answer(replace(asked, arrived_ms=self.now_ms()))
        return status, document

    def settle(self) -> None:
        """Let every executor go on until it waits for the exchange, or is done."""

        async def quiet() -> None:
            while any(not worker.done() and not self._waits(worker) for worker in self.workers):
                await asyncio.sleep(0.0002)
            for worker in [worker for worker in self.workers if worker.done()]:
                self.workers.discard(worker)
                if not worker.cancelled():
                    worker.result()  # a bug is raised here

        self.run(quiet())

    def _waits(self, worker: "asyncio.Task[None]") -> bool:
        return any(request.worker is worker for request in self.waiting)

    def claim(self) -> None:
        """An executor looks for work."""

        async def claim() -> None:
            for row in await self.store.claim_due(5):
                self.workers.add(asyncio.create_task(self.runner._advance(row)))

        self.run(claim())
        self.settle()

    def resolve(self, request: Request, fate: str) -> None:
        """What becomes of a waiting request, and what its sender hears of it."""
        self.waiting.remove(request)
        if fate in ("answered", "answer lost", "503 unknown"):
            status, document = self.arrive(request.asked)
        if fate == "delayed":
            self.on_their_way.append(request.asked)
        match fate:
            case "answered":
                request.answer.set_result((status, document))
            case "503 unknown":
                said = "Unknown error, please check your request or try again later."
                request.answer.set_result((503, {"code": 0, "msg": said}))
            case "503 failed":
                request.answer.set_result((503, {"code": 0, "msg": "Service Unavailable."}))
            case "throttled":
                request.answer.set_result((503, {"code": -1008, "msg": "Request throttled."}))
            case "refused":
                request.answer.set_result((400, {"code": -4045, "msg": "Reach max stop order limit."}))
            case _:
                error = ccxt.RequestTimeout("no answer")
                error.__cause__ = TimeoutError()
                request.answer.set_exception(error)
        self.settle()

    def crash(self, request: Request, *, sent: bool) -> None:
        """The executor that waits for this request is gone; the request may be on its way."""
        self.waiting.remove(request)
        if sent:
            self.on_their_way.append(request.asked)
        assert request.worker is not None, "executors wait"
        request.worker.cancel()
        self.workers.discard(request.worker)
        self.run(_gone(request.worker))

    # customers

    def customer(self) -> Customer:
        key = Key(uuid4().hex * 2, uuid4().hex * 2, self.now_ms())
        self.gate.keyring.add(key)
        self.gate.market.add(Account(key.api_key, Decimal(10_000), self.now_ms()))
        account_id = uuid4()
        credentials = sealing.Credentials(SecretStr(key.api_key), SecretStr(key.api_secret))
        return Customer(key.api_key, self.sealer.seal(credentials, account_id), account_id)

    def account(self, customer: Customer) -> Account:
        return self.gate.market.accounts[customer.api_key]

    def request(self, customer: Customer, action: str) -> ExecutionRequested:
        now = self.clock.now()
        signal = Signal(
            signal_id=uuid4(),
            bot_id=UUID(int=1),
            action=Action(action),
            ticker=SYMBOL,
            symbol=SYMBOL,
            price=PRICE,
            source_ip="127.0.0.1",
            received_at=now,
            body_digest="",
        )
        customer.sequence += 1
        job = Job(
            execution_id=ids.execution_id(signal.signal_id, customer.subscription_id),
            subscription_id=customer.subscription_id,
            user_id=UUID(int=2),
            exchange_account_id=customer.account_id,
            environment="paper",
            sealed_credentials=customer.sealed,
            sequence=customer.sequence,
            config=TradeConfig(**CONFIG),
            expires_at=now + timedelta(seconds=60) if signal.action.is_entry else None,
        )
        return ExecutionRequested(id=ids.fresh(), occurred_at=now, signal=signal, jobs=(job,))

    def deliver(self, *requests: ExecutionRequested) -> None:
        self.run(self.store.add_jobs(requests))

    def move(self, price: Decimal) -> None:
        self.run(self.prices.move(SYMBOL, price))

    async def _told(self) -> list[Message]:
        query = select(tables.outbox.c.type, tables.outbox.c.body).order_by(tables.outbox.c.position)
        async with self.database.transaction() as tx:
            return [parse(row.type, row.body) for row in await tx.connection.execute(query)]

    def finished(self, customer: Customer) -> list[ExecutionFinished]:
        """Every record of a customer's, in the order of their being told."""
        told = self.run(self._told())
        mine = [fact for fact in told if isinstance(fact, ExecutionFinished)]
        return [fact for fact in mine if fact.subscription_id == customer.subscription_id]

    def look(self, customer: Customer) -> Decimal:
        """As the watcher does; what the store holds open afterwards, signed."""

        async def look() -> Decimal:
            credentials = self.opener.open(customer.sealed, customer.account_id)
            for held in await self.store.open_positions(customer.account_id, "futures"):
                await self.reconciler.check(self.futures, credentials, held)
            rest = await self.store.open_positions(customer.account_id, "futures")
            return sum((held.position.signed for held in rest), Decimal(0))

        return self.run(look())


async def _gone(worker: "asyncio.Task[None]") -> None:
    await asyncio.gather(worker, return_exceptions=True)
