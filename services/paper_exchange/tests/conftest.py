"""A fresh exchange for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from services.paper_exchange.tests.exchange_client import Customer, Running, start


@pytest.fixture
async def exchange() -> AsyncIterator[Running]:
    running = await start()
    yield running
    await running.stop()


@pytest.fixture
async def customer(exchange: Running) -> Customer:
    return await exchange.customer(balance_usdt="10000")
