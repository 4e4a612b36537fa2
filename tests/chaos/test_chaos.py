"""Real processes, a real broker and a real database are broken at random while signals flow.

At the end every signal and subscription is checked at the exchange and in the ledger: none lost, none doubled, none
unprotected. CHAOS_BREAKS says how often something is broken (`make chaos`: 200); the seed is printed.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from conftest import POSTGRES
from tests.system.conftest import ADMIN, Customer, Place, World, free_ports, started

BREAKS = int(os.environ.get("CHAOS_BREAKS", "12"))
CUSTOMERS = 20
MODULES = (
    "services.webhook_gateway",
    "services.bot_registry",
    "services.bot_registry.dispatcher",
    "services.executor",
    "services.executor",  # there are two, and they matter most
    "services.executor.watcher",
    "services.ledger",
)


@dataclass(frozen=True)
class Stack:
    """A running system and the handles by which it is broken."""

    place: Place
    supervisor: int
    virtual_host: str
    database: str


@pytest.fixture
def stack(virtual_host: str, stack_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    port = free_ports()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
        "LOG_LEVEL": "ERROR",
        "EXECUTORS": "2",
        "AMQP_URL": virtual_host,
        "DATABASE_URL": stack_database,
        "CALL_TIMEOUT_MS": "1500",
    }
    with started("tools.stack", environment) as process:
        place = Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        yield Stack(place, process.pid, urlsplit(virtual_host).path[1:], urlsplit(stack_database).path[1:])


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        world = World(stack.place, session)
        world.admin = await world.log_in(**ADMIN)
        yield world


class Breaker:
    """Breaks something, by the book of a seed."""

    def __init__(self, stack: Stack, world: World, chance: random.Random) -> None:
        self.broken: Counter[str] = Counter()
        self._stack, self._world, self._chance = stack, world, chance
        self._frozen: list[asyncio.Task[None]] = []

    async def run(self, breaks: int) -> None:
        kinds = [self._kill, self._kill, self._kill, self._freeze, self._cut_broker, self._cut_database, self._fault]
        for _ in range(breaks):
            await asyncio.sleep(self._chance.uniform(0.1, 0.9))
            self.broken[await self._chance.choice(kinds)()] += 1
        await asyncio.gather(*self._frozen)

    def _victim(self) -> tuple[int, str] | None:
        module = self._chance.choice(MODULES)
        listed = subprocess.run(
            ["ps", "--ppid", str(self._stack.supervisor), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=True,
        )
        pids = [int(line.split()[0]) for line in listed.stdout.splitlines() if line.endswith(f"-m {module}")]
        return (self._chance.choice(pids), module) if pids else None

    async def _kill(self) -> str:
        victim = self._victim()
        if victim is None:
            return "nobody to kill"
        os.kill(victim[0], signal.SIGKILL)
        return f"kill {victim[1]}"

    async def _freeze(self) -> str:
        victim = self._victim()
        if victim is None:
            return "nobody to freeze"
        os.kill(victim[0], signal.SIGSTOP)
        self._frozen.append(asyncio.create_task(self._thaw(victim[0])))
        return f"freeze {victim[1]}"

    async def _thaw(self, pid: int) -> None:
        await asyncio.sleep(self._chance.uniform(0.5, 12))  # shorter and longer than a lease
        with suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)

    async def _cut_broker(self) -> str:
        await asyncio.to_thread(
            subprocess.run,
            ["rabbitmqctl", "--quiet", "close_all_connections", "--vhost", self._stack.virtual_host, "chaos"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return "cut broker connections"

    async def _cut_database(self) -> str:
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._stack.database}'"
        await asyncio.to_thread(subprocess.run, ["psql", POSTGRES, "-qc", query], check=True, stdout=subprocess.DEVNULL)
        return "cut database connections"

    async def _fault(self) -> str:
        kind = self._chance.choice(["timeout_before", "timeout_after", "http_503_unknown", "http_503_failed"])
        path = self._chance.choice(["/fapi/v1/order", "/fapi/v1/algoOrder"])
        fault = {"match": {"path": path}, "kind": kind, "times": self._chance.randint(1, 5)}
        await self._world.paper("POST", "/paper/faults", fault)
        return f"exchange {kind}"


async def alert_through(world: World, body: dict[str, Any]) -> str | None:
    """Post as TradingView does: again on 5xx, up to three times; the signal's id, or null when it gave up."""
    for _ in range(4):
        try:
            status, answer = await world.call("POST", f"/api/v1/bots/webhook/master/{world.bot['path']}", body)
            if status < 300:
                signal_id: str = answer["signal_id"]
                return signal_id
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass  # TradingView does not resend what broke off; we do, to have more signals
        await asyncio.sleep(1)
    return None


@pytest.mark.timeout(1800)
async def test_nothing_is_lost_doubled_or_left_unprotected(stack: Stack, world: World) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
    print(f"\nseed {seed}, {BREAKS} breaks")
    chance = random.Random(seed)
    await world.make_bot(rate_limit_per_minute=10_000, duplicate_window_seconds=0)
    customers = [await world.make_customer() for _ in range(CUSTOMERS)]
    breaker = Breaker(stack, world, chance)
    breaking = asyncio.create_task(breaker.run(BREAKS))
    accepted: dict[str, str] = {}
    secret = {"ticker": "BTCUSDT", "secret": "minha-senha-super-secreta"}
    while not breaking.done():
        action = chance.choice(["buy", "sell", "close"])
        signal_id = await alert_through(world, secret | {"action": action, "comment": uuid4().hex})
        if signal_id is not None:
            accepted[signal_id] = action
        await asyncio.sleep(chance.uniform(0, 0.5))
    await breaking
    await world.paper("DELETE", "/paper/faults")
    print(f"{len(accepted)} signals accepted; {dict(breaker.broken)}")
    await settled(world, set(accepted))
    outcomes: Counter[str] = Counter()
    for customer in customers:
        await check(world, customer, accepted, outcomes)
    print(dict(outcomes))
    assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin))["ok"] is True


async def settled(world: World, signal_ids: set[str]) -> None:
    async with asyncio.timeout(180):
        for signal_id in signal_ids:
            while True:
                try:
                    status, answer = await world.call("GET", f"/api/v1/signals/{signal_id}", token=world.admin)
                    if status == 200 and answer["status"] == "settled":
                        assert answer["total_subscribers"] == CUSTOMERS
                        break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)


async def every_record(world: World, customer: Customer) -> list[dict[str, Any]]:
    path = f"/api/v1/executions?subscription_id={customer.subscription_id}&limit=200"
    page = await world.ask("GET", path, token=world.admin)
    records: list[dict[str, Any]] = page["items"]
    while page["next_cursor"]:
        page = await world.ask("GET", f"{path}&cursor={page['next_cursor']}", token=world.admin)
        records += page["items"]
    return records


async def check(world: World, customer: Customer, accepted: dict[str, str], outcomes: Counter[str]) -> None:
    """Every record against the exchange's own list of orders."""
    state = await world.paper("GET", f"/paper/accounts/{customer.api_key}")
    by_id = {str(row["orderId"]): row for row in state["orders"] if row["book"] == "order"}
    entries = [row for row in by_id.values() if not row["reduceOnly"] and row["clientOrderId"].split("-")[-1][0] == "e"]
    records = await every_record(world, customer)
    mine = [record for record in records if record["signal_id"] in accepted]
    assert len({record["signal_id"] for record in mine}) == len(mine) == len(accepted)
    recorded = {r["exchange_order_id"] for r in records if r["action"] in ("buy", "sell") and r["exchange_order_id"]}
    for record in records:
        outcomes[f"{record['action']} {record['status']} {record['error_code'] or ''}".strip()] += 1
        for order_id in (record["exchange_order_id"] or "").split(","):
            assert not order_id or order_id in by_id
    assert {str(row["orderId"]) for row in entries} <= recorded, "an entry that nobody recorded"
    names = [row["clientOrderId"].rsplit("-", 1)[0] for row in entries]
    assert len(names) == len(set(names)), "two entries for one execution"
    held = sum((Decimal(row["positionAmt"]) for row in state["positions"]), Decimal(0))
    kinds = {row["orderType"] for row in state["open_algo_orders"]}
    assert held == 0 or "STOP_MARKET" in kinds, "a position without its stop"
    assert abs(held) <= Decimal("0.010"), "more than one entry open"
