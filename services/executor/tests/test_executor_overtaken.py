"""A job that was lost and is told again comes late: it does what it would have done in its time, or nothing."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from services.executor import store
from services.executor.tests.conftest import House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.contracts import ExecutionFinished

GAP = timedelta(seconds=0.4)


@pytest.fixture(autouse=True)
def short_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane waits less long for a lost predecessor."""
    monkeypatch.setattr(store, "_GAP", GAP)


async def test_a_lost_buy_is_not_traded_after_its_close(house: House) -> None:
    customer = await house.customer()
    [buy] = await house.signal("buy", customer, lost=True)
    closed = await house.trade("close", customer)
    assert closed.error_code == "nothing_to_close"
    await house.redeliver()
    done = await house.finished(buy)
    assert (done.status, done.error_code) == ("skipped", "overtaken")
    assert await market_orders(house, customer) == []


async def test_a_lost_buy_that_comes_while_its_successor_is_at_work_waits_for_it(house: House) -> None:
    customer = await house.customer()
    [buy] = await house.signal("buy", customer, lost=True)
    await house.paper.fault("latency", path="/fapi/v1/algoOrder", api_key=customer.api_key, latency_ms=200, times=9)
    [sell] = await house.signal("sell", customer)
    async with asyncio.timeout(10):
        while not await market_orders(house, customer):
            await asyncio.sleep(0.02)
    await house.redeliver()
    done = [await house.finished(sell), await house.finished(buy)]
    assert [(one.status, one.error_code) for one in done] == [("success", None), ("skipped", "overtaken")]
    ended = [message.execution_id for message in house.told if isinstance(message, ExecutionFinished)]
    assert ended == [sell, buy]
    assert await amount(house, customer) == Decimal("-0.010")
    assert len(await market_orders(house, customer)) == 1


async def test_a_lost_close_leaves_what_a_later_signal_opened(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    [close] = await house.signal("close", customer, lost=True)
    assert (await house.trade("sell", customer)).status == "success"
    await house.redeliver()
    done = await house.finished(close)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")
    assert await amount(house, customer) == Decimal("-0.010")
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_lost_close_still_closes_what_was_open_before_it(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    [close] = await house.signal("close", customer, lost=True)
    assert (await house.trade("buy", customer)).error_code == "position_already_open"
    await house.redeliver()
    assert (await house.finished(close)).status == "success"
    assert await amount(house, customer) == 0


async def test_a_lost_buy_is_traded_late_where_only_other_symbols_came_between(house: House) -> None:
    customer = await house.customer()
    [buy] = await house.signal("buy", customer, lost=True)
    assert (await house.trade("buy", customer, symbol="ETHUSDT")).status == "success"
    await house.redeliver()
    assert (await house.finished(buy)).status == "success"
    assert await amount(house, customer) == Decimal("0.010")
