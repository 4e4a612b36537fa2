"""Real processes, a real broker and a real database are broken at random while signals flow.

At the end every signal and subscription is checked at the exchange and in the ledger: none lost, none doubled, none
unprotected. CHAOS_KILLS says how many processes are killed (`make chaos`: 200), besides freezings, cut connections,
servers that go away for seconds and faults of the exchange; the seed is printed.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from tests.chaos.breaker import Breaker, Stack
from tests.chaos.outage import Outage
from tests.system.conftest import ADMIN, Customer, Place, World, free_ports, started

KILLS = int(os.environ.get("CHAOS_KILLS", "6"))
CUSTOMERS = 10  # per bot
SENDERS = 2  # at once, each waiting for its answer
BOTS = {"futures": ("buy", "sell", "close"), "spot": ("buy", "close")}
STEP = Decimal("0.00001")  # of spot's quantities; what is less cannot be sold


@dataclass
class Bot:
    """A bot, its customers, and its signals that were accepted."""

    market: str
    fields: dict[str, Any]
    customers: list[Customer]
    accepted: set[str] = field(default_factory=set)


def through(outage: Outage, url: str) -> str:
    """The same address, by way of the proxy."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@127.0.0.1:{outage.port}" if user else f"127.0.0.1:{outage.port}").geturl()


@pytest.fixture
def stack(virtual_host: str, stack_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    port = free_ports()
    with ExitStack() as running:
        broker, database = (
            running.enter_context(Outage(parts.hostname or "", parts.port or default).running())
            for parts, default in ((urlsplit(virtual_host), 5672), (urlsplit(stack_database), 5432))
        )
        environment = {
            "PORT": str(port),
            "DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "ADMIN_EMAIL": ADMIN["email"],
            "ADMIN_PASSWORD": ADMIN["password"],
            "LOG_LEVEL": "ERROR",
            "EXECUTORS": "2",
            "AMQP_URL": through(broker, virtual_host),
            "DATABASE_URL": through(database, stack_database),
            "CALL_TIMEOUT_MS": "1500",
        }
        process = running.enter_context(started("tools.stack", environment))
        place = Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        names = urlsplit(virtual_host).path[1:], urlsplit(stack_database).path[1:]
        yield Stack(place, process.pid, *names, broker, database)


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        world = World(stack.place, session)
        world.admin = await world.log_in(**ADMIN)
        yield world


async def make_bot(world: World, market: str) -> Bot:
    fields = await world.make_bot(market_type=market, rate_limit_per_minute=10_000, duplicate_window_seconds=0)
    return Bot(market, fields, [await world.make_customer() for _ in range(CUSTOMERS)])


async def alert_through(world: World, path: str, body: dict[str, Any]) -> str | None:
    """Post as TradingView does: again on 5xx, up to three times; the signal's id, or null when it gave up."""
    for _ in range(4):
        try:
            status, answer = await world.call("POST", f"/api/v1/bots/webhook/master/{path}", body)
            if status < 300:
                signal_id: str = answer["signal_id"]
                return signal_id
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass  # TradingView does not resend what broke off; we do, to have more signals
        await asyncio.sleep(1)
    return None


async def send_signals(world: World, bots: list[Bot], breaking: "asyncio.Task[None]", chance: random.Random) -> None:
    secret = {"ticker": "BTCUSDT", "secret": "minha-senha-super-secreta"}
    while not breaking.done():
        bot = chance.choice(bots)
        alert = secret | {"action": chance.choice(BOTS[bot.market]), "comment": uuid4().hex}
        signal_id = await alert_through(world, bot.fields["path"], alert)
        if signal_id is not None:
            bot.accepted.add(signal_id)
        await asyncio.sleep(chance.uniform(0, 0.5))


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_doubled_or_left_unprotected(stack: Stack, world: World) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
    print(f"\nseed {seed}, {KILLS} kills")
    chance = random.Random(seed)
    bots = [await make_bot(world, market) for market in BOTS]
    breaker = Breaker(stack, world, chance)
    breaking = asyncio.create_task(breaker.run(KILLS))
    await asyncio.gather(*(send_signals(world, bots, breaking, random.Random(seed + n)) for n in range(SENDERS)))
    await breaking
    await world.paper("DELETE", "/paper/faults")
    print(f"{sum(len(bot.accepted) for bot in bots)} signals accepted; {breaker.kills} kills; {dict(breaker.broken)}")
    outcomes: Counter[str] = Counter()
    for bot in bots:
        await settled(world, bot)
        for customer in bot.customers:
            await check(world, bot, customer, outcomes)
    print(f"{outcomes.total()} executions; {dict(outcomes)}")
    assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin))["ok"] is True


async def settled(world: World, bot: Bot) -> None:
    """Each signal has its own time: a slow machine has much to catch up with."""
    for signal_id in bot.accepted:
        async with asyncio.timeout(300):
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


async def check(world: World, bot: Bot, customer: Customer, outcomes: Counter[str]) -> None:
    """Every record against the exchange's own list of orders, and every position against its protections."""
    state = await world.paper("GET", f"/paper/accounts/{customer.api_key}")
    orders = state["orders"] if bot.market == "futures" else state["spot"]["orders"]
    by_id = {str(row["orderId"]): row for row in orders if row.get("book", "order") == "order"}
    entries = [row for row in by_id.values() if row["clientOrderId"].rsplit("-", 1)[-1].startswith("e")]
    records = await every_record(world, customer)
    mine = [record for record in records if record["signal_id"] in bot.accepted]
    assert len({record["signal_id"] for record in mine}) == len(mine) == len(bot.accepted), "a record lost or doubled"
    recorded = {r["exchange_order_id"] for r in records if r["action"] in ("buy", "sell") and r["exchange_order_id"]}
    for record in records:
        outcomes[f"{bot.market} {record['action']} {record['status']} {record['error_code'] or ''}".strip()] += 1
        for order_id in (record["exchange_order_id"] or "").split(","):
            assert not order_id or order_id in by_id
    assert {str(row["orderId"]) for row in entries} <= recorded, "an entry that nobody recorded"
    names = [row["clientOrderId"].rsplit("-", 1)[0] for row in entries]
    assert len(names) == len(set(names)), "two entries for one execution"
    held = await (held_in_futures if bot.market == "futures" else held_on_spot)(world, customer, state, len(entries))
    assert held <= Decimal("0.010"), "more than one entry open"


async def held_in_futures(_world: World, _customer: Customer, state: Any, _entries: int) -> Decimal:
    held = sum((Decimal(row["positionAmt"]) for row in state["positions"]), Decimal(0))
    kinds = {row["orderType"] for row in state["open_algo_orders"]}
    assert held == 0 or "STOP_MARKET" in kinds, "a position without its stop"
    return abs(held)


async def held_on_spot(world: World, customer: Customer, state: Any, entries: int) -> Decimal:
    """The coins are those of the open position, but for what each entry bought beyond the step and cannot sell."""
    path = f"/api/v1/positions?status=open&subscription_id={customer.subscription_id}"
    positions = (await world.ask("GET", path, token=world.admin))["items"]
    ours = sum((Decimal(position["quantity"]) for position in positions), Decimal(0))
    coins = sum(
        (Decimal(r["free"]) + Decimal(r["locked"]) for r in state["spot"]["balances"] if r["asset"] == "BTC"),
        Decimal(0),
    )
    assert 0 <= coins - ours < STEP * max(1, entries), "the exchange holds other than the ledger says"
    stops = [row for row in state["spot"]["open_orders"] if row["type"] == "STOP_LOSS"]
    assert sum((Decimal(row["origQty"]) for row in stops), Decimal(0)) == ours, "a position without its stop"
    return ours
