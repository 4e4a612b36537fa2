"""Positions that end without a signal: the watcher notices, takes the remains away and tells the profit."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from services.executor.tests.conftest import SYMBOL, Customer, House
from services.executor.tests.test_executor_flow import amount, ask, by_hand, triggers
from shared.contracts import ExecutionFinished, PositionClosed


async def closed(house: House) -> PositionClosed:
    async with asyncio.timeout(40):
        while not house.closed():
            await asyncio.sleep(0.02)
    [message] = house.closed()
    return message


async def earned(house: House, customer: Customer) -> Decimal:
    """The exchange's own reckoning."""
    trades = (await house.paper.state(customer.api_key))["trades"]
    return sum((Decimal(row["realizedPnl"]) - Decimal(row["commission"]) for row in trades), Decimal(0))


@pytest.mark.parametrize(
    ("action", "price", "reason"),
    [
        ("buy", "92000", "stop_loss"),
        ("buy", "101000", "take_profit"),
        ("sell", "99000", "stop_loss"),
        ("sell", "90000", "take_profit"),
    ],
)
async def test_a_fired_protection_closes_the_position_and_its_sibling(
    house: House, action: str, price: str, reason: str
) -> None:
    customer = await house.customer()
    await house.trade(action, customer)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await house.paper.price(price)
        message = await closed(house)
    assert message.close_reason == reason
    assert message.realized_pnl_usd == await earned(house, customer)
    assert await triggers(house, customer) == {}


async def test_a_position_closed_by_the_customers_own_hand_is_external(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await by_hand(house, customer, "SELL", "0.010")
        message = await closed(house)
    assert message.close_reason == "external"
    assert message.realized_pnl_usd == await earned(house, customer)


async def test_a_fired_stop_whose_order_is_not_shown_yet_is_no_close_by_hand(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    fault = {"code": -2013, "path": "/fapi/v1/order", "method": "GET", "api_key": customer.api_key, "times": 10_000}
    await house.paper.fault("error", **fault)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await house.paper.price("92000")
        message = await closed(house)
    assert message.close_reason == "stop_loss"
    assert message.realized_pnl_usd == await earned(house, customer)


async def test_a_loss_by_the_customers_own_hand_counts_for_the_day(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.price("94000")
    await by_hand(house, customer, "SELL", "0.010")
    done = await house.trade("buy", customer, max_daily_loss_usd=Decimal(5))
    assert (done.status, done.error_code) == ("skipped", "daily_loss_limit")


@pytest.mark.parametrize("refusals", [0, 1])
async def test_beside_what_the_customer_holds_only_ours_goes_with_its_stop(house: House, refusals: int) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    await house.trade("buy", customer)
    if refusals:  # of the cancelling of the sibling
        await house.paper.fault("error", code=-1022, path="/fapi/v1/algoOrder", method="DELETE", times=refusals)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await house.paper.price("92000")
        message = await closed(house)
    assert message.close_reason == "stop_loss"
    assert await amount(house, customer) == Decimal("0.005")
    assert await triggers(house, customer) == {}


@pytest.mark.parametrize(
    ("book", "status", "entries"),
    [
        ([{"share_pct": "40"}], "FINISHED", 1),  # the exchange lets the rest expire
        ([{"share_pct": "40"}], "FINISHED", 2),  # bound to its quantity
        ([], "FINISHED", 1),
        ([{"share_pct": "100", "worse_pct": "6"}], "REJECTED", 1),  # beyond the market take bound: -4131
    ],
)
async def test_what_a_stop_loss_leaves_when_it_triggers_is_closed_at_market(
    house: House, book: list[dict[str, str]], status: str, entries: int
) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, max_entries_per_symbol=entries)
    await house.paper.book(SYMBOL, *book, api_key=customer.api_key)
    await house.paper.price("92000")
    rows = await ask(house, customer, "fapiPrivateGetAllAlgoOrders", symbol=SYMBOL)
    assert [row["algoStatus"] for row in rows if row["orderType"] == "STOP_MARKET"] == [status]
    assert await amount(house, customer) > 0
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        message = await closed(house)
    assert await amount(house, customer) == 0
    assert await triggers(house, customer) == {}
    assert message.close_reason == "stop_loss"
    assert message.realized_pnl_usd == await earned(house, customer)
    finished = [message for message in house.told if isinstance(message, ExecutionFinished)]
    assert finished == [done]
    assert (await house.trade("buy", customer, stop_loss_pct=None)).status == "success"  # the lane is free again


async def test_a_stop_loss_refused_beside_what_the_customer_holds_is_finished_for_ours_only(house: House) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    await house.trade("buy", customer)
    await house.paper.book(SYMBOL, {"share_pct": "100", "worse_pct": "6"}, api_key=customer.api_key)
    await house.paper.price("92000")
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        assert (await closed(house)).close_reason == "stop_loss"
    assert await amount(house, customer) == Decimal("0.005")
    assert await triggers(house, customer) == {}


async def test_a_stop_loss_that_the_customer_took_away_is_theirs_to_miss(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer, take_profit_pct=None)
    await ask(house, customer, "fapiPrivateDeleteAlgoOpenOrders", symbol=SYMBOL)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await asyncio.sleep(1)
    assert await amount(house, customer) == Decimal("0.010")
    assert (await house.trade("close", customer)).status == "success"
