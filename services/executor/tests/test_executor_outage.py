"""The exchange cannot be reached at all: entries expire honestly, closes and protections go on until it is back."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from services.executor.tests.conftest import House, Paper
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.bus.tests.support import Wire, wire
from shared.contracts import ExecutionFinished


@pytest.fixture
async def line(paper: Paper) -> AsyncIterator[Wire]:
    """The wire between the executor and the exchange."""
    place = urlsplit(paper.url)
    async with wire(place.hostname or "", place.port or 0) as line:
        await line.open()
        yield line


@pytest.fixture
def by_wire(line: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made before the house: its executor reaches the exchange by that wire alone."""
    made = House.__init__

    def init(house: House, *args: object) -> None:
        made(house, *args)  # type: ignore[arg-type]  # passed on as they came
        house.settings = house.settings.model_copy(update={"paper_exchange_url": f"http://127.0.0.1:{line.port}"})

    monkeypatch.setattr(House, "__init__", init)


def ended(house: House) -> list[ExecutionFinished]:
    return [message for message in house.told if isinstance(message, ExecutionFinished)]


async def test_an_entry_expires_and_the_record_says_so(by_wire: None, line: Wire, house: House) -> None:
    customer = await house.customer()
    await line.shut()
    done = await house.trade("buy", customer, age_s=58)
    assert (done.status, done.error_code) == ("skipped", "expired")
    await line.open()
    assert await market_orders(house, customer) == []


async def test_a_close_is_tried_until_the_exchange_is_back(by_wire: None, line: Wire, house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await line.shut()
    [close] = await house.signal("close", customer)
    await asyncio.sleep(2)
    assert len(ended(house)) == 1, "nothing is given up"
    await line.open()
    assert (await house.finished(close)).status == "success"
    assert await amount(house, customer) == 0
    assert await triggers(house, customer) == {}


async def test_a_fill_whose_protection_cannot_be_sent_is_protected_or_closed_as_soon_as_it_can_be(
    by_wire: None, line: Wire, house: House
) -> None:
    customer = await house.customer()
    await house.paper.fault("latency", path="/fapi/v1/algoOrder", api_key=customer.api_key, latency_ms=200, times=9)
    [buy] = await house.signal("buy", customer)
    async with asyncio.timeout(10):
        while not await market_orders(house, customer):
            await asyncio.sleep(0.005)
    await line.shut()
    await asyncio.sleep(2)
    await line.open()
    done = await house.finished(buy)
    if done.status == "success":
        assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
        assert done.naked_ms is not None
        assert done.naked_ms > 1_000, "how long it was naked is on record"
    else:
        assert done.error_code == "unprotected_closed"
        assert await amount(house, customer) == 0
