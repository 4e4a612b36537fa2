"""The exchange asks for quiet (429, 418) while executions are under way: none fails of it, and none is forgotten."""

import asyncio
import re

import pytest

from services.executor.tests.conftest import Customer, House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers

# what is tried here is the exchange, not the database
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

READ, ORDER = "/fapi/v2/positionRisk", "/fapi/v1/order"
BOTH = {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def answered(house: House, path: str = "/fapi") -> int:
    """Requests that the paper exchange has answered, by its own metrics; faults are not among them."""
    async with house.paper.session.get(f"{house.paper.url}/metrics") as response:
        metrics = await response.text()
    counts = re.findall(rf'^paper_exchange_requests_total{{.*path="{path}[^"]*".*}} (\S+)$', metrics, re.MULTILINE)
    return int(sum(map(float, counts)))


async def protected_at_ms(house: House, customer: Customer) -> int:
    """How long after its entry the position had its stop-loss, by the exchange's own clock."""
    state = await house.paper.state(customer.api_key)
    [entry] = [row for row in state["orders"] if row["book"] == "order"]
    [stop] = [row for row in state["open_algo_orders"] if row["orderType"] == "STOP_MARKET"]
    return int(stop["createTime"]) - int(entry["time"])


async def test_entries_wait_for_the_pause_and_are_placed_after_it(house: House) -> None:
    customers = [await house.customer() for _ in range(10)]
    await house.paper.fault("http_429", path=READ, retry_after_s=2)
    ids = await house.signal("buy", *customers)
    await asyncio.sleep(1.0)
    before = await answered(house, READ)
    await asyncio.sleep(0.5)
    assert await answered(house, READ) == before
    done = await asyncio.gather(*(house.finished(execution_id) for execution_id in ids))
    assert {one.status for one in done} == {"success"}
    for customer in customers:
        assert await triggers(house, customer) == {"STOP_MARKET": "92853.7", "TAKE_PROFIT_MARKET": "99996.2"}
        assert len(await market_orders(house, customer)) == 1


async def test_an_entry_that_the_pause_makes_too_old_is_expired_and_says_why(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("http_429", path=READ, retry_after_s=30)
    [execution_id] = await house.signal("buy", customer, age_s=58)
    done = await house.finished(execution_id, within_s=15)  # not as late as the pause ends
    assert (done.status, done.error_code) == ("skipped", "expired")
    assert done.error_message is not None
    assert "-1003" in done.error_message
    assert await market_orders(house, customer) == []


async def test_a_position_gets_its_protections_during_a_pause(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("http_429", path=ORDER, method="GET", retry_after_s=3)  # asking for the fill's price
    done = await house.trade("buy", customer)
    assert done.status == "success"
    assert set(await triggers(house, customer)) == BOTH
    assert await protected_at_ms(house, customer) < 3_000


async def test_an_exit_goes_out_during_a_pause(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("http_429", path=ORDER, method="POST", retry_after_s=6)
    [close] = await house.signal("close", customer)
    async with asyncio.timeout(5):
        while await amount(house, customer) != 0:
            await asyncio.sleep(0.1)
    assert (await house.finished(close)).status == "success"
    assert await triggers(house, customer) == {}


async def test_a_stop_loss_that_is_itself_put_off_is_placed_not_given_up(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("http_429", path="/fapi/v1/algoOrder", method="POST", retry_after_s=2, times=2)
    done = await house.trade("buy", customer)
    assert (done.status, set(await triggers(house, customer))) == ("success", BOTH)


async def test_in_a_ban_nothing_is_sent_and_afterwards_everything_is(house: House) -> None:
    customers = [await house.customer() for _ in range(5)]
    await house.paper.fault("http_418", path="/fapi/v1/algoOrder", method="POST", retry_after_s=4)
    ids = await house.signal("buy", *customers)
    await asyncio.sleep(1.0)  # whatever was under way when the ban came has been answered
    before = await answered(house)
    naked = [
        customer for customer in customers if await amount(house, customer) and not await triggers(house, customer)
    ]
    assert naked
    ids += await house.signal("close", *customers)
    await asyncio.sleep(1.5)
    assert await answered(house) == before
    done = await asyncio.gather(*(house.finished(execution_id, within_s=30) for execution_id in ids))
    assert {one.status for one in done} == {"success"}
    for customer in customers:
        assert await amount(house, customer) == 0
        assert await triggers(house, customer) == {}
