"""What a spot customer gets for a signal: the real runner and store against the paper exchange, on both databases."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from services.executor.tests.conftest import Customer, House
from services.executor.tests.spot_house import (
    FEE,
    assert_sold_once,
    buy_by_hand,
    by_hand,
    filled,
    legs,
    total,
    trade,
    wallet,
)
from shared.contracts import CloseReason, PositionClosed


async def test_a_buy_spends_the_margin_and_is_protected_by_one_order_list(house: House) -> None:
    customer = await house.customer(balance_usdt=1000)
    done = await trade(house, "buy", customer)
    assert (done.status, done.error_message) == ("success", None)
    # 100 USD at 95234.50 buy 0.00105; the fee of a thousandth is taken of it, and 0.00104895 can be sold as 0.00104
    assert (done.executed_quantity, done.executed_price) == (Decimal("0.00105"), Decimal("95234.50"))
    assert await total(house, customer) == Decimal("0.00104895")
    assert await total(house, customer, "USDT") == 1000 - Decimal("0.00105") * Decimal("95234.50")
    assert (done.stop_loss_price, done.take_profit_price) == (Decimal("92853.64"), Decimal("99996.22"))
    assert await legs(house, customer) == {
        "STOP_LOSS": (Decimal("92853.64"), Decimal("0.00104")),
        "TAKE_PROFIT": (Decimal("99996.22"), Decimal("0.00104")),
    }
    [opened] = house.opened()
    assert (opened.side, opened.quantity, opened.entry_price) == ("long", Decimal("0.00104"), Decimal("95234.50"))
    orders = {str(row["orderId"]) for row in (await wallet(house, customer))["orders"]}
    assert {done.exchange_order_id, done.stop_loss_order_id, done.take_profit_order_id} == orders
    assert done.naked_ms is not None


async def test_leverage_is_ignored(house: House) -> None:
    customer = await house.customer()
    done = await trade(house, "buy", customer, leverage=20)
    assert done.executed_quantity == Decimal("0.00105")


async def test_only_one_protection_asked_for_is_one_order(house: House) -> None:
    cautious, hopeful, neither = [await house.customer() for _ in range(3)]
    await trade(house, "buy", cautious, take_profit_pct=None)
    await trade(house, "buy", hopeful, stop_loss_pct=Decimal(0))
    await trade(house, "buy", neither, stop_loss_pct=None, take_profit_pct=None)
    assert await legs(house, cautious) == {"STOP_LOSS": (Decimal("92853.64"), Decimal("0.00104"))}
    assert await legs(house, hopeful) == {"TAKE_PROFIT": (Decimal("99996.22"), Decimal("0.00104"))}
    assert await legs(house, neither) == {}
    for customer in (cautious, hopeful, neither):
        assert (await trade(house, "close", customer)).status == "success"
        await assert_sold_once(house, customer, "0.00104")


@pytest.mark.parametrize("action", ["close", "sell", "close_all"])
async def test_what_was_bought_is_sold_and_the_profit_told_to_the_cent(house: House, action: str) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    await house.paper.price("98000.00")
    done = await trade(house, action, customer)
    assert (done.status, done.executed_quantity, done.executed_price) == ("success", Decimal("0.00104"), Decimal(98000))
    await assert_sold_once(house, customer, "0.00104")
    assert await legs(house, customer) == {}
    [closed] = house.closed()
    # what is left is dust, and keeps what it cost
    bought, sold = Decimal("0.00105"), Decimal("0.00104")
    cost = bought * Decimal("95234.50") * sold / (bought * (1 - FEE))
    assert (closed.close_reason, closed.realized_pnl_usd) == (CloseReason.SIGNAL, sold * 98000 * (1 - FEE) - cost)


async def test_a_sell_with_nothing_bought_is_skipped_in_words(house: House) -> None:
    customer = await house.customer()
    await buy_by_hand(house, customer, "0.05")
    done = await trade(house, "sell", customer)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")
    assert "cannot be sold short" in (done.error_message or "")
    assert await filled(house, customer, "SELL") == []


async def test_a_sell_never_grows_stale(house: House) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    assert (await trade(house, "sell", customer, age_s=61)).status == "success"
    await assert_sold_once(house, customer, "0.00104")


@pytest.mark.parametrize(("price", "reason"), [("92000", "stop_loss"), ("101000", "take_profit")])
async def test_a_leg_that_fired_is_noticed_at_the_next_signal(house: House, price: str, reason: str) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    await house.paper.price(price)
    done = await trade(house, "close", customer)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")
    await assert_sold_once(house, customer, "0.00104")
    [closed] = house.closed()
    assert closed.close_reason == reason
    assert closed.realized_pnl_usd is not None
    assert (closed.realized_pnl_usd > 0) == (reason == "take_profit")


async def test_what_the_customer_holds_by_hand_stays_to_the_last_satoshi(house: House) -> None:
    customer = await house.customer()
    await buy_by_hand(house, customer, "0.01")
    theirs = await total(house, customer)
    assert theirs == Decimal("0.00999")
    assert (await trade(house, "buy", customer)).status == "success"
    assert (await trade(house, "close", customer)).status == "success"
    assert await total(house, customer) == theirs + Decimal("0.00104895") - Decimal("0.00104")
    await assert_sold_once(house, customer, "0.00104")


async def test_subscriptions_share_a_symbol_each_with_its_own_quantity(house: House) -> None:
    first = await house.customer()
    second = Customer(first.api_key, first.sealed, first.account_id)
    second.subscription_id, second.sequence = uuid4(), 0
    await trade(house, "buy", first)
    second.sequence = first.sequence
    await trade(house, "buy", second, margin_usd=Decimal(200))
    quantities = sorted(Decimal(row["origQty"]) for row in (await wallet(house, first))["open_orders"])
    assert quantities == [Decimal("0.00104")] * 2 + [Decimal("0.00209")] * 2
    first.sequence = second.sequence
    assert (await trade(house, "close", first)).executed_quantity == Decimal("0.00104")
    assert set(await legs(house, first)) == {"STOP_LOSS", "TAKE_PROFIT"}
    assert {quantity for _, quantity in (await legs(house, first)).values()} == {Decimal("0.00209")}


async def test_a_third_order_list_in_a_symbol_is_not_bought_for(house: House) -> None:
    customer = await house.customer()
    for _ in range(2):
        assert (await trade(house, "buy", customer, max_entries_per_symbol=9)).status == "success"
    done = await trade(house, "buy", customer, max_entries_per_symbol=9)
    assert (done.status, done.error_code) == ("failed", "too_many_orders")
    assert len(await filled(house, customer, "BUY")) == 2


async def test_a_margin_too_small_to_be_sold_again_is_skipped_and_what_would_do_does(house: House) -> None:
    customer = await house.customer()
    done = await trade(house, "buy", customer, margin_usd=Decimal("5.1"))
    assert (done.status, done.error_code) == ("skipped", "below_minimum")
    assert await filled(house, customer, "BUY") == []
    said = (done.error_message or "").partition("a margin of about ")[2].partition(" ")[0]
    assert (await trade(house, "buy", customer, margin_usd=Decimal(said))).status == "success"
    assert set(await legs(house, customer)) == {"STOP_LOSS", "TAKE_PROFIT"}
    await house.paper.price("92000")
    await trade(house, "close", customer)
    assert [closed.close_reason for closed in house.closed()] == ["stop_loss"]


async def test_too_little_balance_fails_in_words(house: House) -> None:
    customer = await house.customer(balance_usdt=20)
    done = await trade(house, "buy", customer)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "insufficient_margin", -2010)


async def test_an_unknown_ticker_is_named(house: House) -> None:
    customer = await house.customer()
    done = await trade(house, "buy", customer, symbol="NOSUCHUSDT")
    assert (done.status, done.error_code) == ("failed", "symbol_not_trading")
    assert "Binance Spot does not trade NOSUCHUSDT" in (done.error_message or "")


async def test_a_second_buy_is_skipped_and_the_limits_hold(house: House) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    assert (await trade(house, "buy", customer)).error_code == "position_already_open"
    limited = await trade(house, "buy", customer, symbol="ETHUSDT", max_concurrent_positions=1)
    assert limited.error_code == "max_concurrent_positions"
    await house.paper.price("90000")
    lost = await trade(house, "buy", customer, max_daily_loss_usd=Decimal(1))
    assert lost.error_code == "daily_loss_limit"


async def test_the_futures_position_of_the_same_account_is_another_matter(house: House) -> None:
    customer = await house.customer()
    await house.trade("sell", customer)
    assert (await trade(house, "buy", customer)).status == "success"
    assert (await trade(house, "close_all", customer, symbol=None)).status == "success"
    assert [closed.side if hasattr(closed, "side") else closed.ticker for closed in house.closed()] == ["BTCUSDT"]
    positions = (await house.paper.state(customer.api_key))["positions"]
    assert [Decimal(row["positionAmt"]) for row in positions] == [Decimal("-0.010")]


async def closed_by_watching(house: House, act: Any) -> PositionClosed:
    """What the watcher tells after `act`."""
    async with AsyncExitStack() as stack:
        await house.watch(stack)
        await act
        async with asyncio.timeout(40):
            while not house.closed():
                await asyncio.sleep(0.02)
    [message] = house.closed()
    return message


@pytest.mark.parametrize(("price", "reason"), [("92000", "stop_loss"), ("101000", "take_profit")])
async def test_the_watcher_sees_a_leg_that_fired(house: House, price: str, reason: str) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    message = await closed_by_watching(house, house.paper.price(price))
    assert message.close_reason == reason
    assert message.realized_pnl_usd is not None
    assert await legs(house, customer) == {}


@pytest.mark.parametrize(("price", "reason"), [("92000", "stop_loss"), ("101000", "take_profit")])
async def test_what_a_leg_leaves_that_sold_in_part_is_sold_at_market(house: House, price: str, reason: str) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    await house.paper.thin_book("60", market="spot", side="SELL")
    message = await closed_by_watching(house, house.paper.price(price))
    await assert_sold_once(house, customer, "0.00104")
    assert (message.close_reason, message.realized_pnl_usd is None) == (reason, False)


async def test_the_watcher_sees_a_position_that_the_customer_sold(house: House) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)

    async def sell() -> None:
        [row] = (await wallet(house, customer))["order_lists"]
        await by_hand(house, customer, "privateDeleteOrderList", orderListId=str(row["orderListId"]))
        await by_hand(house, customer, "privatePostOrder", side="SELL", type="MARKET", quantity="0.00104")

    message = await closed_by_watching(house, sell())
    assert (message.close_reason, message.realized_pnl_usd is None) == ("external", False)


async def test_an_order_list_cancelled_by_hand_leaves_a_position_that_a_close_still_sells(house: House) -> None:
    customer = await house.customer()
    await trade(house, "buy", customer)
    [row] = (await wallet(house, customer))["order_lists"]
    await by_hand(house, customer, "privateDeleteOrderList", orderListId=str(row["orderListId"]))
    assert (await trade(house, "close", customer)).status == "success"
    await assert_sold_once(house, customer, "0.00104")
