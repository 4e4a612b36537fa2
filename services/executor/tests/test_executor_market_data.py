"""Filters and prices are read once for all customers, and anew when there is reason to doubt them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.executor.exchange import market_data
from services.executor.exchange.client import Failed, UnknownSymbol
from services.executor.exchange.egress import Egress
from services.executor.exchange.futures import Futures
from services.executor.tests.conftest import SYMBOL
from services.executor.tests.test_executor_governor import Exchange, client, exchange, order

__all__ = ["exchange"]
INFO, PRICE, ORDER = "/fapi/v1/exchangeInfo", "/fapi/v1/premiumIndex", "/fapi/v1/order"


@pytest.fixture
async def market(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Futures]:
    monkeypatch.setattr(market_data, "_RULES_AGAIN_MS", 200)
    async with client(exchange, Egress()) as market:
        await market.know_clock()
        yield market


async def read_anew(exchange: Exchange, times: int) -> None:
    async with asyncio.timeout(5):
        while exchange.count(INFO) < times:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)  # and not once more
    assert exchange.count(INFO) == times


async def test_a_burst_of_customers_reads_the_filters_once_and_each_price_once(
    exchange: Exchange, market: Futures
) -> None:
    await asyncio.gather(*(market.rules(SYMBOL) for _ in range(200)))
    prices = await asyncio.gather(*(market.price(name) for name in (SYMBOL, "BNBUSDT") for _ in range(200)))
    assert len(set(prices[:200])) == 1
    assert len(set(prices[200:])) == 1
    assert (exchange.count(INFO), exchange.count(PRICE)) == (1, 2)


async def test_a_filter_error_has_the_filters_read_anew_once_for_a_burst(exchange: Exchange, market: Futures) -> None:
    customer = await exchange.customer()
    await market.rules(SYMBOL)
    await exchange.paper.fault("error", code=-4164, path=ORDER, method="POST", times=20)
    await asyncio.gather(*(order(market, customer) for _ in range(20)), return_exceptions=True)
    await read_anew(exchange, 2)


async def test_another_error_is_no_reason_to_read_the_filters(exchange: Exchange, market: Futures) -> None:
    customer = await exchange.customer()
    await market.rules(SYMBOL)
    await exchange.paper.fault("error", code=-2019, path=ORDER, method="POST")
    with pytest.raises(Failed, match="Margin is insufficient"):
        await order(market, customer)
    await asyncio.sleep(0.5)
    assert exchange.count(INFO) == 1


async def test_a_symbol_that_is_not_known_is_looked_for_now_and_then(exchange: Exchange, market: Futures) -> None:
    await market.rules(SYMBOL)
    for _ in range(50):
        with pytest.raises(UnknownSymbol):
            await market.rules("NEWUSDT")
    assert exchange.count(INFO) == 1
    await asyncio.sleep(0.25)
    for _ in range(50):
        with pytest.raises(UnknownSymbol):
            await market.rules("NEWUSDT")
    assert exchange.count(INFO) == 2


async def test_what_grows_old_is_read_in_the_background_and_kept_while_it_cannot_be(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_data, "_RULES_EVERY_S", 0.3)
    monkeypatch.setattr(market_data, "_RULES_AGAIN_MS", 0)
    async with client(exchange, Egress()) as market:
        rules = await market.rules(SYMBOL)
        await exchange.paper.fault("http_503_failed", path=INFO, times=3)
        async with asyncio.timeout(10):
            while exchange.gate.faults.faults:
                assert await market.rules(SYMBOL) == rules
                await asyncio.sleep(0.02)
        answered = exchange.count(INFO)
        async with asyncio.timeout(10):
            while exchange.count(INFO) <= answered:
                await asyncio.sleep(0.02)
        assert await market.rules(SYMBOL) == rules
