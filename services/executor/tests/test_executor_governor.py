"""One address, several processes: the exchange's limits are kept, its wish for quiet is obeyed, orders do not wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from pydantic import SecretStr

from services.executor.app import pauses
from services.executor.exchange.budget import Limits, Urgency
from services.executor.exchange.client import Failed
from services.executor.exchange.egress import Egress, Reserved
from services.executor.exchange.futures import Futures
from services.executor.exchange.governor import Governor, urgent
from services.executor.orders import Intent, MarketOrder, Purpose
from services.executor.outcomes import NoAnswer
from services.executor.tests.conftest import SYMBOL, Paper
from services.paper_exchange.app import GATE
from services.paper_exchange.app import build as build_paper_exchange
from services.paper_exchange.settings import Settings as PaperSettings
from shared.clock import SystemClock
from shared.sealing import Credentials

REDIS = SecretStr("redis://127.0.0.1:6379/0")
LIMIT = 2_400


class Shifted:
    """The wall clock, moved to a moment of the minute; `ahead_ms` is what it tells more from then on."""

    def __init__(self, second: float = 30.0) -> None:
        now = datetime.now(UTC)
        self.offset = timedelta(seconds=second - now.timestamp() % 60)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def forward(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


@dataclass
class Exchange:
    """A paper exchange that keeps count, on a clock of its own."""

    paper: Paper
    gate: Any
    clock: Shifted
    customers: list[Credentials] = field(default_factory=list)

    async def customer(self) -> Credentials:
        key, secret = await self.paper.account()
        return Credentials(SecretStr(key), SecretStr(secret))

    def count(self, path: str = "", status: int | None = None) -> int:
        """Requests answered so far."""
        return sum(
            int(sample.value)
            for metric in self.gate.requests.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
            and sample.labels["path"].startswith(path)
            and status in (None, int(sample.labels["status"]))
        )

    @property
    def weight(self) -> int:
        """What the address has used of this minute."""
        return self.used("fapi")

    def used(self, venue: str) -> int:
        used: int = self.gate.venues[venue].weights.add("127.0.0.1", 0, self.now_ms())
        return used

    def now_ms(self) -> int:
        return round(self.clock.now().timestamp() * 1000)


@pytest.fixture
async def exchange(paper_session: Any) -> AsyncIterator[Exchange]:
    clock = Shifted()
    settings = PaperSettings(paper_enforce_weight=True)
    app = build_paper_exchange(settings, lambda: round(clock.now().timestamp() * 1000))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Exchange(Paper(f"http://127.0.0.1:{runner.addresses[0][1]}", paper_session), app[GATE], clock)
    await runner.cleanup()


@asynccontextmanager
async def client(exchange: Exchange, egress: Egress, clock: Shifted | None = None) -> AsyncIterator[Futures]:
    market = Futures(exchange.paper.url, clock or exchange.clock, egress, timeout_ms=5_000)
    async with egress.running(), market.running():
        yield market


async def asked(reads: list[Awaitable[Any]]) -> tuple[int, list[Failed]]:
    """How many succeeded, and how the others failed."""
    ended = await asyncio.gather(*reads, return_exceptions=True)
    failed = [one for one in ended if isinstance(one, BaseException)]
    assert all(isinstance(one, Failed) for one in failed), failed
    return len(ended) - len(failed), [one for one in failed if isinstance(one, Failed)]


def order(market: Futures, customer: Credentials, side: Any = "BUY") -> Awaitable[Any]:
    intent = Intent(f"t-{uuid4().hex[:20]}", market.now_ms(), 5_000)
    return market.place(customer, MarketOrder(Purpose.ENTRY, SYMBOL, side, "BOTH", Decimal("0.001")), intent)


async def test_two_behind_one_redis_use_what_there_is_and_never_more_while_orders_go_out(exchange: Exchange) -> None:
    customer, address = await exchange.customer(), uuid4().hex
    async with AsyncExitStack() as stack:
        two = [await stack.enter_async_context(client(exchange, Egress(address, 2, REDIS))) for _ in range(2)]
        await asyncio.gather(*(market.rules(SYMBOL) for market in two))
        # all of one's, and then the other's: what one leaves, the other may have
        done, held = await asked([two[0].held(customer, SYMBOL) for _ in range(300)])
        assert (done, held) == (300, [])
        done, held = await asked([two[n % 2].held(customer, SYMBOL) for n in range(300)])
        assert 100 < done < 200
        assert all(isinstance(one.reply, NoAnswer) and 0 < one.reply.wait_ms <= 60_100 for one in held)
        assert 0.8 * LIMIT < exchange.weight <= 0.9 * LIMIT
        assert (await order(two[0], customer)).status == "FILLED"
        assert (await order(two[1], customer)).status == "FILLED"
        with urgent(Urgency.RESOLVE):
            assert await two[1].find(customer, SYMBOL, "unknown") is None
        exchange.clock.forward(60)
        done, _ = await asked([two[n % 2].held(customer, SYMBOL) for n in range(100)])
        assert done == 100
    assert exchange.count(status=429) == 0


async def test_two_without_redis_keep_to_an_equal_share(exchange: Exchange) -> None:
    customer = await exchange.customer()
    async with client(exchange, Egress(shares=2)) as one, client(exchange, Egress(shares=2)) as other:
        first, _ = await asked([one.held(customer, SYMBOL) for _ in range(300)])
        assert 1_000 < first * 5 <= LIMIT / 2
        second, _ = await asked([other.held(customer, SYMBOL) for _ in range(300)])
        assert 1_000 < second * 5 <= LIMIT / 2
        assert (await order(one, customer)).status == "FILLED"
    assert exchange.weight <= LIMIT
    assert exchange.count(status=429) == 0


async def test_who_starts_beside_others_that_may_use_more_than_it_knows_learns_so_at_once(paper: Paper) -> None:
    key, secret = await paper.account()
    customer, address = Credentials(SecretStr(key), SecretStr(secret)), uuid4().hex

    async def start() -> Futures:
        egress = Egress(address, 2, REDIS)
        market = Futures(paper.url, SystemClock(), egress, timeout_ms=5_000)
        await stack.enter_async_context(egress.running())
        await stack.enter_async_context(market.running())
        await market.rules(SYMBOL)
        return market

    async with AsyncExitStack() as stack:
        one = await start()  # where no weight is enforced, a limit is told that nobody reaches
        done, _ = await asked([one.held(customer, SYMBOL) for _ in range(600)])
        assert done == 600
        other = await start()
        assert (await asked([other.held(customer, SYMBOL) for _ in range(10)]))[0] == 10


@dataclass
class Relay:
    """A way to Redis that can be cut, or go silent."""

    port: int = 0
    server: Any = None
    silent: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", 6379)
        self.writers += [writer, to_redis]
        await asyncio.gather(self.copy(reader, to_redis), self.copy(from_redis, writer))

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if not self.silent:
                    writer.write(data)

    async def cut(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    relay = Relay()
    relay.server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = relay.server.sockets[0].getsockname()[1]
    yield relay
    await relay.cut()


@pytest.mark.parametrize("how", ["cut", "silent"])
async def test_when_redis_goes_away_each_goes_on_with_its_share(exchange: Exchange, relay: Relay, how: str) -> None:
    customer, address = await exchange.customer(), uuid4().hex
    url = SecretStr(f"redis://127.0.0.1:{relay.port}/0")
    async with AsyncExitStack() as stack:
        two = [await stack.enter_async_context(client(exchange, Egress(address, 2, url))) for _ in range(2)]
        done, _ = await asked([two[0].held(customer, SYMBOL) for _ in range(150)])
        assert done == 150
        if how == "cut":
            await relay.cut()
        relay.silent = True
        began = monotonic()
        assert (await order(two[0], customer)).status == "FILLED"
        done, _ = await asked([two[1].held(customer, SYMBOL) for _ in range(300)])
        assert 150 < done * 5 <= LIMIT / 2
        done, _ = await asked([two[0].held(customer, SYMBOL) for _ in range(300)])
        assert 50 < done < 100
        assert monotonic() - began < 30  # not blocked; each asking of a silent Redis would cost a quarter of a second
    assert exchange.weight <= LIMIT
    assert exchange.count(status=429) == 0


async def test_what_nobody_waits_for_leaves_the_rest_to_orders(exchange: Exchange) -> None:
    customer = await exchange.customer()
    async with client(exchange, Egress()) as market:
        await market.rules(SYMBOL)
        with urgent(Urgency.BACKGROUND):
            background = asyncio.gather(*(market.held(customer, SYMBOL) for _ in range(400)), return_exceptions=True)
        async with asyncio.timeout(20):
            while exchange.weight < 0.6 * LIMIT * 33 / 60:
                await asyncio.sleep(0.05)
        # its part grows with the minute: 60 % of the limit at its end
        moment = exchange.now_ms() % 60_000
        assert exchange.weight <= 0.6 * LIMIT * (moment + 5_000) / 60_000 + 1
        assert not background.done()
        done, held = await asked([market.held(customer, SYMBOL) for _ in range(100)])
        assert (done, held) == (100, [])
        background.cancel()
        with suppress(asyncio.CancelledError):
            await background
    assert exchange.count(status=429) == 0


async def test_a_ban_stops_everything_here_and_at_the_others_until_it_ends(exchange: Exchange) -> None:
    customer, address = await exchange.customer(), uuid4().hex
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(client(exchange, Egress(address, 2, REDIS))) for _ in range(2)]
        await asyncio.gather(one.held(customer, SYMBOL), other.held(customer, SYMBOL))
        await exchange.paper.fault("http_418", path="/fapi", retry_after_s=20)
        with pytest.raises(Failed):
            await one.held(customer, SYMBOL)
        async with asyncio.timeout(5):
            while not other.is_paused:
                await asyncio.sleep(0.05)
        assert len(pauses({("paper", "futures"): one, ("live", "futures"): other})) == 2
        before = exchange.count("/fapi")
        for market in (one, other):
            with pytest.raises(Failed) as refused:
                await order(market, customer)
            reply = refused.value.reply
            assert isinstance(reply, NoAnswer)
            assert (reply.sent, reply.banned, 10_000 < reply.wait_ms <= 20_000) == (False, True, True)
            with pytest.raises(Failed):
                await market.held(customer, SYMBOL)
        assert exchange.count("/fapi") == before
        exchange.clock.forward(20)
        assert (await order(one, customer)).status == "FILLED"
        await other.held(customer, SYMBOL)
        assert pauses({("paper", "futures"): one}) == ()


async def test_a_pause_stops_reads_not_orders_unless_they_too_are_refused(exchange: Exchange) -> None:
    customer = await exchange.customer()
    async with client(exchange, Egress()) as market:
        await market.held(customer, SYMBOL)
        await exchange.paper.fault("http_429", path="/fapi", retry_after_s=20)
        with pytest.raises(Failed):
            await market.held(customer, SYMBOL)
        before = exchange.count("/fapi/v3/positionRisk")
        for _ in range(20):
            with pytest.raises(Failed):
                await market.held(customer, SYMBOL)
        assert exchange.count("/fapi/v3/positionRisk") == before
        assert (await order(market, customer)).status == "FILLED"
        # an order that is refused as well: one a second finds out when they are taken again
        await exchange.paper.fault("http_429", path="/fapi/v1/order", retry_after_s=20)
        orders = exchange.count("/fapi/v1/order")
        _, held = await asked([order(market, customer) for _ in range(1)])
        _, more = await asked([order(market, customer) for _ in range(20)])
        assert (len(held), len(more)) == (1, 20)
        assert exchange.count("/fapi/v1/order") == orders
        exchange.clock.forward(1)
        assert (await order(market, customer)).status == "FILLED"
        assert (await order(market, customer)).status == "FILLED"


async def test_an_account_that_has_placed_its_orders_waits_for_its_window_and_no_other_does(exchange: Exchange) -> None:
    customer, other = await exchange.customer(), await exchange.customer()
    async with client(exchange, Egress()) as market:
        await market.know_clock()
        done, held = await asked([order(market, customer) for _ in range(300)])
        assert (done, held) == (300, [])
        orders = exchange.count("/fapi/v1/order")
        with pytest.raises(Failed) as full:
            await order(market, customer)
        assert full.value.is_held
        assert exchange.count("/fapi/v1/order") == orders
        assert (await order(market, other)).status == "FILLED"
        exchange.clock.forward(10)
        assert (await order(market, customer)).status == "FILLED"
        # told by its refusal only
        await exchange.paper.fault("error", code=-1015, path="/fapi/v1/order", times=1)
        with pytest.raises(Failed):
            await order(market, customer)
        with pytest.raises(Failed) as full:
            await order(market, customer)
        assert full.value.is_held
        assert not market.is_paused
        exchange.clock.forward(10)
        assert (await order(market, customer)).status == "FILLED"


async def test_a_burst_outside_its_window_reads_the_clock_once_and_then_all_are_right(exchange: Exchange) -> None:
    customer, wrong = await exchange.customer(), Shifted()
    wrong.offset = exchange.clock.offset + timedelta(seconds=30)
    async with client(exchange, Egress(), wrong) as market:
        done, held = await asked([market.held(customer, SYMBOL) for _ in range(50)])
        assert (done, held) == (50, [])
        assert exchange.count("/fapi/v1/time") == 1
        wrong.forward(-20)
        # one answer comes when the clock has been read for the others
        await exchange.paper.fault("latency", path="/fapi/v1/order", latency_ms=1_000)
        done, refused = await asked([order(market, customer) for _ in range(50)])
        assert done == 0
        assert {one.reply.code for one in refused if not isinstance(one.reply, NoAnswer)} == {-1021}
        assert exchange.count("/fapi/v1/time") == 2
        done, _ = await asked([order(market, customer) for _ in range(50)])
        assert (done, exchange.count("/fapi/v1/time")) == (50, 2)


async def test_an_order_stamped_by_a_clock_that_was_off_is_not_sent_but_stamped_anew(exchange: Exchange) -> None:
    customer, wrong = await exchange.customer(), Shifted()
    wrong.offset = exchange.clock.offset + timedelta(seconds=30)
    async with client(exchange, Egress(), wrong) as market:
        with pytest.raises(Failed) as stale:
            await order(market, customer)
        assert isinstance(stale.value.reply, NoAnswer)
        assert not stale.value.reply.sent
        assert exchange.count("/fapi/v1/order") == 0
        assert (await order(market, customer)).status == "FILLED"


async def test_far_from_the_limit_redis_is_asked_for_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    reservations: list[Reserved | None] = []
    reserve = Egress.reserve

    async def counted(*arguments: Any, **options: Any) -> Reserved | None:
        reservations.append(await reserve(*arguments, **options))
        return reservations[-1]

    monkeypatch.setattr(Egress, "reserve", counted)
    clock, egress = Shifted(), Egress(uuid4().hex, 2, REDIS)
    governor = Governor(egress, "pool", Limits(LIMIT), lambda: round(clock.now().timestamp() * 1000))
    async with egress.running():
        for _ in range(1_000):
            await governor.read(1)
    assert len(reservations) < 40
    assert sum(one.granted for one in reservations if one) < 1_100
