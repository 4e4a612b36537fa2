"""When the exchange misbehaves on spot: one buy, protected or sold, sold once, and a record that says what happened."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from services.executor.tests.conftest import Customer, House
from services.executor.tests.spot_house import (
    assert_sold_once,
    buy_by_hand,
    by_hand,
    filled,
    legs,
    total,
    trade,
    wallet,
)

ORDER, OCO, ACCOUNT, TRADES = "/api/v3/order", "/api/v3/orderList/oco", "/api/v3/account", "/api/v3/myTrades"
BOTH = {"STOP_LOSS", "TAKE_PROFIT"}
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def fault(house: House, customer: Customer, kind: str, path: str, method: str = "POST", **options: Any) -> None:
    await house.paper.fault(kind, path=path, method=method, api_key=customer.api_key, **options)


async def holding(house: House, theirs: str = "0.01") -> Customer:
    """A customer with an open position of ours, beside bitcoin of their own that nobody may touch."""
    customer = await house.customer()
    await buy_by_hand(house, customer, theirs)
    assert (await trade(house, "buy", customer)).status == "success"
    return customer


async def assert_theirs_is_left(house: House, customer: Customer) -> None:
    """All but what was sold of ours: their 0.00999, and the dust of our buy."""
    assert await total(house, customer) == Decimal("0.00999") + Decimal("0.00104895") - Decimal("0.00104")
    await assert_sold_once(house, customer, "0.00104")


# --- The buy ---


@pytest.mark.parametrize("kind", ["timeout_after", "http_503_unknown"])
async def test_a_buy_that_was_taken_without_an_answer_is_found_less_its_fee_and_protected(
    house: House, kind: str
) -> None:
    customer = await house.customer()
    await fault(house, customer, kind, ORDER)
    done = await trade(house, "buy", customer)
    assert (done.status, len(await filled(house, customer, "BUY"))) == ("success", 1)
    assert {quantity for _, quantity in (await legs(house, customer)).values()} == {Decimal("0.00104")}


@pytest.mark.parametrize("kind", ["timeout_before", "http_503_failed"])  # on spot, no 5XX promises anything
async def test_a_buy_that_never_arrived_is_recorded_as_not_placed(house: House, kind: str) -> None:
    customer = await house.customer()
    await fault(house, customer, kind, ORDER)
    done = await trade(house, "buy", customer)
    assert (done.status, done.error_code) == ("failed", "not_placed")
    assert await filled(house, customer, "BUY") == []


async def test_a_buy_that_queries_hide_but_the_balance_shows_is_waited_for(house: House) -> None:
    customer = await house.customer()
    await fault(house, customer, "http_503_unknown", ORDER)
    await fault(house, customer, "error", ORDER, "GET", code=-2013, times=10_000)
    await fault(house, customer, "error", TRADES, "GET", code=-1000, times=1)
    [execution_id] = await house.signal("buy", customer, market_type="spot")
    with pytest.raises(TimeoutError):  # far longer than the window in which the order could be accepted
        await house.finished(execution_id, within_s=2.5)
    await house.paper.no_faults()
    assert (await house.finished(execution_id)).status == "success"
    assert len(await filled(house, customer, "BUY")) == 1


# --- The protections ---


@pytest.mark.parametrize("kind", ["timeout_after", "http_503_unknown", "timeout_before", "http_503_failed"])
async def test_an_order_list_without_an_answer_ends_standing_once(house: House, kind: str) -> None:
    customer = await house.customer()
    await fault(house, customer, kind, OCO)
    assert (await trade(house, "buy", customer)).status == "success"
    assert set(await legs(house, customer)) == BOTH
    assert len((await wallet(house, customer))["order_lists"]) == 1


@pytest.mark.parametrize("code", [-1013, -2010, -1158, -9999])
async def test_a_position_whose_order_list_is_refused_is_sold(house: House, code: int) -> None:
    customer = await house.customer()
    await fault(house, customer, "error", OCO, code=code, times=50)
    done = await trade(house, "buy", customer)
    assert (done.status, done.error_code) == ("failed", "unprotected_closed")
    await assert_sold_once(house, customer, "0.00104")
    assert ([closed.close_reason for closed in house.closed()], len(house.opened())) == (["unwound"], 1)


@pytest.mark.parametrize(
    ("price", "status", "reason"), [("90000", "failed", "unwound"), ("105000", "success", "take_profit")]
)
async def test_a_price_through_a_leg_before_it_stands_sells_at_market(
    house: House, price: str, status: str, reason: str
) -> None:
    customer = await house.customer()
    await fault(house, customer, "latency", ORDER, latency_ms=200)  # of the answer
    [execution_id] = await house.signal("buy", customer, market_type="spot")
    while not await filled(house, customer, "BUY"):
        await asyncio.sleep(0.01)
    await house.paper.price(price)
    assert (await house.finished(execution_id)).status == status
    await assert_sold_once(house, customer, "0.00104")
    assert [closed.close_reason for closed in house.closed()] == [reason]


# --- The way out ---


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "http_503_unknown", "http_503_failed"])
@pytest.mark.parametrize("method", ["DELETE", "POST"], ids=["cancel", "sell"])
async def test_an_unanswered_cancel_or_sell_is_cleared_up_and_what_we_bought_sold_once(
    house: House, kind: str, method: str
) -> None:
    customer = await holding(house)
    await fault(house, customer, kind, ORDER, method)
    done = await trade(house, "close", customer)
    assert done.status == "success"
    await assert_theirs_is_left(house, customer)
    assert [closed.close_reason for closed in house.closed()] == ["signal"]


async def test_a_sell_that_queries_hide_but_the_balance_shows_is_not_sent_again(house: House) -> None:
    customer = await holding(house)
    await fault(house, customer, "http_503_unknown", ORDER)
    await fault(house, customer, "error", ORDER, "GET", code=-2013, times=10_000)
    [execution_id] = await house.signal("close", customer, market_type="spot")
    with pytest.raises(TimeoutError):
        await house.finished(execution_id, within_s=2.5)
    await house.paper.no_faults()
    assert (await house.finished(execution_id)).status == "success"
    await assert_theirs_is_left(house, customer)


async def test_a_lost_sell_is_sent_again_although_another_subscriptions_stop_fired_meanwhile(house: House) -> None:
    first = await house.customer()
    second = Customer(first.api_key, first.sealed, first.account_id, sequence=1)
    await trade(house, "buy", first)
    await trade(house, "buy", second, margin_usd=Decimal(200), stop_loss_pct=Decimal(1))
    first.sequence = second.sequence
    await fault(house, first, "timeout_before", ORDER)
    [execution_id] = await house.signal("close", first, market_type="spot")
    while len(await legs(house, first)) == 2 and len((await wallet(house, first))["open_orders"]) == 4:
        await asyncio.sleep(0.005)
    await house.paper.price("93500")  # through the second's stop
    assert (await house.finished(execution_id)).status == "success"
    sold = sorted(Decimal(row["executedQty"]) for row in await filled(house, first, "SELL"))
    assert sold == [Decimal("0.00104"), Decimal("0.00209")]


async def test_a_stop_that_fires_between_look_and_cancel_is_what_closed_the_position(house: House) -> None:
    customer = await holding(house)
    await fault(house, customer, "late", ORDER, "DELETE", latency_ms=300)
    [execution_id] = await house.signal("close", customer, market_type="spot")
    await asyncio.sleep(0.15)
    await house.paper.price("92000")
    assert (await house.finished(execution_id)).status == "success"
    await assert_theirs_is_left(house, customer)
    assert [closed.close_reason for closed in house.closed()] == ["stop_loss"]


async def test_a_sell_that_fills_in_part_is_followed_by_the_rest(house: House) -> None:
    customer = await holding(house)
    await house.paper.thin_book("60", market="spot", side="SELL")
    assert (await trade(house, "close", customer)).status == "success"
    await assert_theirs_is_left(house, customer)
    assert house.closed()[0].realized_pnl_usd is not None


async def test_a_leg_that_sold_in_part_leaves_the_rest_to_be_sold(house: House) -> None:
    customer = await holding(house)
    await house.paper.thin_book("60", market="spot", side="SELL")
    await house.paper.price("92000")
    done = await trade(house, "close", customer)
    assert done.status == "success"
    await assert_theirs_is_left(house, customer)
    assert house.closed()[0].realized_pnl_usd is not None


async def test_a_buy_that_fills_in_part_is_protected_for_what_it_bought(house: House) -> None:
    customer = await house.customer()
    await house.paper.thin_book("60", market="spot", side="BUY")
    assert (await trade(house, "buy", customer)).status == "success"
    assert {quantity for _, quantity in (await legs(house, customer)).values()} == {Decimal("0.00062")}


async def test_a_key_that_dies_before_the_close_leaves_the_order_list_standing(house: House) -> None:
    customer = await holding(house)
    await fault(house, customer, "error", ORDER, "DELETE", code=-2015, times=50)
    done = await trade(house, "close", customer)
    assert (done.status, done.error_code) == ("failed", "key_rejected")
    assert set(await legs(house, customer)) == BOTH
    assert house.closed() == []


async def test_once_it_is_released_nothing_gives_up_selling(house: House) -> None:
    customer = await holding(house)
    await fault(house, customer, "error", ORDER, code=-2015, times=6)
    [execution_id] = await house.signal("close", customer, market_type="spot")
    assert (await house.finished(execution_id, within_s=30)).status == "success"
    await assert_theirs_is_left(house, customer)


async def test_what_the_customer_locks_meanwhile_is_waited_for(house: House) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    [row] = (await wallet(house, customer))["order_lists"]
    await by_hand(house, customer, "privateDeleteOrderList", orderListId=str(row["orderListId"]))
    limit = {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00104", "price": "99000"}
    theirs = await by_hand(house, customer, "privatePostOrder", **limit)
    [execution_id] = await house.signal("close", customer, market_type="spot")
    with pytest.raises(TimeoutError):
        await house.finished(execution_id, within_s=1.5)
    await by_hand(house, customer, "privateDeleteOrder", orderId=str(theirs["orderId"]))
    assert (await house.finished(execution_id)).status == "success"
    await assert_sold_once(house, customer, "0.00104")
