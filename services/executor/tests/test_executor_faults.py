"""When the exchange misbehaves: exactly one order, protected or flat, and a record that says what happened."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from services.executor.tests.conftest import PRICE, Customer, House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers

ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"


async def assert_protected_or_flat(house: House, customer: Customer) -> None:
    held = await amount(house, customer)
    assert held == 0 or "STOP_MARKET" in await triggers(house, customer)


async def trade_with(house: House, kind: str, path: str, method: str = "POST", **options: Any) -> tuple[Customer, Any]:
    customer = await house.customer()
    await house.paper.fault(kind, path=path, method=method, api_key=customer.api_key, **options)
    done = await house.trade("buy", customer)
    await assert_protected_or_flat(house, customer)
    return customer, done


async def entries(house: House, customer: Customer) -> int:
    return sum(row["side"] == "BUY" for row in await market_orders(house, customer))


@pytest.mark.parametrize("kind", ["timeout_after", "http_503_unknown"])
async def test_an_entry_that_was_taken_without_an_answer_is_found_and_protected(house: House, kind: str) -> None:
    customer, done = await trade_with(house, kind, ORDER)
    assert (done.status, await entries(house, customer)) == ("success", 1)
    assert await amount(house, customer) == Decimal("0.010")


async def test_an_entry_that_queries_do_not_show_but_the_position_does_is_waited_for(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("http_503_unknown", path=ORDER, method="POST", api_key=customer.api_key)
    await house.paper.fault("error", code=-2013, path=ORDER, method="GET", api_key=customer.api_key, times=10_000)
    [execution_id] = await house.signal("buy", customer)
    with pytest.raises(TimeoutError):  # far longer than the window in which the order could be accepted
        await house.finished(execution_id, within_s=4)
    await house.paper.no_faults()
    done = await house.finished(execution_id)
    assert (done.status, await entries(house, customer)) == ("success", 1)
    await assert_protected_or_flat(house, customer)


async def test_an_entry_that_never_arrived_is_recorded_as_not_placed(house: House) -> None:
    customer, done = await trade_with(house, "timeout_before", ORDER)
    assert (done.status, done.error_code, await entries(house, customer)) == ("failed", "not_placed", 0)


@pytest.mark.parametrize(("kind", "options"), [("http_503_failed", {}), ("error", {"code": -1008})])
async def test_an_entry_that_certainly_failed_is_tried_again(house: House, kind: str, options: Any) -> None:
    customer, done = await trade_with(house, kind, ORDER, times=2, **options)
    assert (done.status, await entries(house, customer)) == ("success", 1)


async def test_a_clock_that_is_off_is_set_and_the_order_sent_once(house: House) -> None:
    customer, done = await trade_with(house, "error", ORDER, code=-1021)
    assert (done.status, await entries(house, customer)) == ("success", 1)


async def test_a_stop_loss_taken_without_an_answer_is_found(house: House) -> None:
    customer, done = await trade_with(house, "timeout_after", ALGO)
    assert done.status == "success"
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_stop_loss_that_never_arrived_is_sent_again(house: House) -> None:
    customer, done = await trade_with(house, "timeout_before", ALGO)
    assert done.status == "success"
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_the_exchange_lagging_behind_its_own_fill_is_waited_for(house: House) -> None:
    _, done = await trade_with(house, "error", ALGO, code=-4509, times=3)
    assert done.status == "success"


@pytest.mark.parametrize("code", [-2021, -4045, -4120, -4999])
async def test_a_position_whose_stop_loss_is_refused_is_closed(house: House, code: int) -> None:
    customer, done = await trade_with(house, "error", ALGO, code=code, times=50)
    assert (done.status, done.error_code) == ("failed", "unprotected_closed")
    assert done.exchange_code in (code, None)
    assert await amount(house, customer) == 0
    [closed] = house.closed()
    assert (closed.close_reason, len(house.opened())) == ("unwound", 1)
    assert closed.realized_pnl_usd is not None


async def test_a_missing_take_profit_leaves_the_position_protected_and_says_so(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("latency", path=ALGO, api_key=customer.api_key, latency_ms=1)
    await house.paper.fault("error", path=ALGO, api_key=customer.api_key, code=-4045, times=50)
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "take_profit_missing", -4045)
    assert set(await triggers(house, customer)) == {"STOP_MARKET"}


async def test_a_price_that_cannot_be_read_does_not_keep_the_position_naked(house: House) -> None:
    customer, done = await trade_with(house, "http_503_failed", ORDER, method="GET", times=50)
    assert (done.status, done.executed_price) == ("success", None)
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_close_that_never_arrived_is_sent_again_under_another_name(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("timeout_before", path=ORDER, method="POST", api_key=customer.api_key)
    done = await house.trade("close", customer)
    assert done.status == "success"
    assert await amount(house, customer) == 0
    assert len(await market_orders(house, customer)) == 2


async def test_a_close_that_was_taken_without_an_answer_is_not_sent_twice(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("timeout_after", path=ORDER, method="POST", api_key=customer.api_key)
    assert (await house.trade("close", customer)).status == "success"
    assert len(await market_orders(house, customer)) == 2


async def test_a_refused_close_leaves_the_position_with_its_stop(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("error", code=-2015, path=ORDER, method="POST", api_key=customer.api_key, times=50)
    done = await house.trade("close", customer)
    assert (done.status, done.error_code) == ("failed", "key_rejected")
    assert "STOP_MARKET" in await triggers(house, customer)
    assert house.closed() == []


async def test_a_reversal_whose_exit_is_refused_opens_nothing(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("error", code=-2015, path=ORDER, method="POST", api_key=customer.api_key, times=50)
    done = await house.trade("sell", customer)
    assert (done.status, done.error_code) == ("failed", "key_rejected")
    assert await amount(house, customer) == Decimal("0.010")


async def test_a_close_behind_a_stuck_buy_comes_after_it(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("timeout_after", path=ORDER, method="POST", api_key=customer.api_key)
    [buy] = await house.signal("buy", customer)
    [close] = await house.signal("close", customer)
    done = await asyncio.gather(house.finished(buy), house.finished(close))
    assert [one.status for one in done] == ["success", "success"]
    assert await amount(house, customer) == 0


async def test_a_price_that_is_told_too_late_to_protect_by_is_still_told_in_the_record(house: House) -> None:
    customer, done = await trade_with(house, "timeout_before", ORDER, "GET", times=8)
    assert (done.status, done.executed_price) == ("success", PRICE)
    assert [opened.entry_price for opened in house.opened()] == [PRICE]
    await assert_protected_or_flat(house, customer)


@pytest.mark.parametrize("path", ["/fapi/v3/positionRisk", "/fapi/v1/openAlgoOrders"])
async def test_a_close_is_not_given_up_because_a_look_at_the_account_was_refused(house: House, path: str) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("error", code=-2015, path=path, method="GET", api_key=customer.api_key, times=3)
    done = await house.trade("close", customer)
    assert (done.status, done.error_code) == ("success", None)
    assert await amount(house, customer) == 0
