"""More positions than there is request weight for: each is looked at more rarely, all alike; orders do not notice."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from services.executor.exchange import futures
from services.executor.exchange.budget import Limits
from services.executor.exchange.futures import Futures
from services.executor.tests.conftest import House, Paper
from services.executor.tests.test_executor_governor import Exchange, exchange
from services.executor.watcher import watch
from shared.sealing import Credentials

__all__ = ["exchange"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSITIONS, LIMIT, WATCHED_S = 12, 90, 6.0  # undisturbed, two looks each: 24


@pytest.fixture
def paper(exchange: Exchange) -> Paper:
    exchange.clock.forward(-20)  # ten seconds into the minute
    return exchange.paper


async def test_positions_are_looked_at_evenly_within_the_backgrounds_part(
    house: House, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [await house.customer() for _ in range(POSITIONS)]
    ids = await house.signal("buy", *customers)
    done = await asyncio.gather(*(house.finished(execution_id) for execution_id in ids))
    assert {one.status for one in done} == {"success"}

    looks: Counter[str] = Counter()
    look = Futures.open_protections

    async def counted(self: Futures, credentials: Credentials, symbol: str) -> Any:
        standing = await look(self, credentials, symbol)
        looks[credentials.api_key.get_secret_value()] += 1
        return standing

    monkeypatch.setattr(Futures, "open_protections", counted)
    monkeypatch.setattr(watch, "_THOROUGH_EVERY", 10**9)  # every look weighs 1
    monkeypatch.setattr(futures, "limits_of", lambda *_: Limits(LIMIT))
    exchange.clock.forward(60)  # a minute that the entries have used nothing of
    began_ms = exchange.now_ms()
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await asyncio.sleep(WATCHED_S)
        watched = exchange.weight
        part = 0.6 * LIMIT * (exchange.now_ms() % 60_000 + 5_000) / 60_000
        assert POSITIONS <= watched <= part + 1
        assert (await house.trade("buy", await house.customer(), age_s=-100)).status == "success"
    for customer in customers:
        assert looks[customer.api_key] >= 1
    assert max(looks.values()) - min(looks[customer.api_key] for customer in customers) <= 1
    assert exchange.now_ms() // 60_000 == began_ms // 60_000
