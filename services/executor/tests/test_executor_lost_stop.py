"""A stop-loss that stands no more while its position does is placed again, or the position is closed: never naked."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from services.executor import reconcile
from services.executor.tests import spot_house
from services.executor.tests.conftest import Customer, House
from services.executor.tests.test_executor_flow import amount, by_hand, triggers
from services.executor.tests.test_executor_watcher import closed
from shared.contracts import ExecutionFinished

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # it waits, mostly

BOTH = {"STOP_MARKET": "92853.7", "TAKE_PROFIT_MARKET": "99996.2"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_EXPLAINED_WITHIN_MS", 500)


async def cancelled_by_hand(house: House, customer: Customer, order_id: str | None) -> None:
    async with house.client(house.opener.open(customer.sealed, customer.account_id)) as client:
        await client.fapiPrivateDeleteAlgoOrder({"algoId": order_id})


async def until(what: Callable[[], Awaitable[Any]], is_so: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(40):
        while not is_so(found := await what()):
            await asyncio.sleep(0.05)
    return found


async def test_a_stop_loss_that_the_customer_cancels_is_placed_again_and_works(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await cancelled_by_hand(house, customer, done.stop_loss_order_id)
        assert "STOP_MARKET" not in await triggers(house, customer)
        await until(lambda: triggers(house, customer), lambda found: found == BOTH)
        await house.paper.price("92000")
        message = await closed(house)
    assert message.close_reason == "stop_loss"
    assert await amount(house, customer) == 0
    assert await triggers(house, customer) == {}
    assert len([told for told in house.told if isinstance(told, ExecutionFinished)]) == 1, "its end was told once"


async def test_beside_what_the_customer_holds_it_is_bound_to_the_quantity(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer)
    await by_hand(house, customer, "BUY", "0.005")
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await cancelled_by_hand(house, customer, done.stop_loss_order_id)
        await until(lambda: triggers(house, customer), lambda found: found == BOTH)
        [stop] = [
            row
            for row in (await house.paper.state(customer.api_key))["open_algo_orders"]
            if row["orderType"] == "STOP_MARKET"
        ]
    assert (stop["closePosition"], Decimal(stop["quantity"])) == (False, Decimal("0.010"))


async def test_a_price_that_is_through_it_by_then_closes_the_position(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer)
    async with AsyncExitStack() as stack:
        await cancelled_by_hand(house, customer, done.stop_loss_order_id)
        await house.paper.price("92000")
        await house.watch(stack)
        message = await closed(house)
    assert message.close_reason == "unwound"
    assert await amount(house, customer) == 0


async def test_a_stop_loss_that_the_exchange_only_forgot_to_list_is_not_doubled(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("read_lag", latency_ms=20_000, path="/fapi/v1/openAlgoOrders")
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await asyncio.sleep(8)
    assert await triggers(house, customer) == BOTH
    assert house.closed() == []


async def test_a_spot_order_list_that_the_customer_cancels_is_placed_again(house: House) -> None:
    customer = await house.customer()
    await spot_house.trade(house, "buy", customer)
    before = await spot_house.legs(house, customer)
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        [listed] = (await spot_house.wallet(house, customer))["order_lists"]
        await spot_house.by_hand(
            house, customer, "privateDeleteOrderList", symbol="BTCUSDT", orderListId=str(listed["orderListId"])
        )
        assert await spot_house.legs(house, customer) == {}
        await until(lambda: spot_house.legs(house, customer), lambda found: found == before)
        await house.paper.price("92000")
        message = await closed(house)
    assert message.close_reason == "stop_loss"
