"""What a customer gets for a signal: the real runner and store against the paper exchange, on both databases."""

import asyncio
from decimal import Decimal
from typing import Any

from services.executor.tests.conftest import SYMBOL, Customer, House
from shared.contracts import CloseReason


async def amount(house: House, customer: Customer, symbol: str = SYMBOL) -> Decimal:
    state = await house.paper.state(customer.api_key)
    return sum((Decimal(row["positionAmt"]) for row in state["positions"] if row["symbol"] == symbol), Decimal(0))


async def sides(house: House, customer: Customer) -> dict[str, Decimal]:
    state = await house.paper.state(customer.api_key)
    return {row["positionSide"]: Decimal(row["positionAmt"]) for row in state["positions"]}


async def triggers(house: House, customer: Customer) -> dict[str, str]:
    state = await house.paper.state(customer.api_key)
    return {row["orderType"]: row["triggerPrice"] for row in state["open_algo_orders"]}


async def market_orders(house: House, customer: Customer) -> list[dict[str, Any]]:
    state = await house.paper.state(customer.api_key)
    return [row for row in state["orders"] if row["book"] == "order"]


async def by_hand(house: House, customer: Customer, side: str, quantity: str) -> None:
    """The customer trades by hand, with the official rules of the exchange."""
    credentials = house.opener.open(customer.sealed, customer.account_id)
    async with house.client(credentials) as client:
        await client.fapiPrivatePostOrder(
            {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity, "newClientOrderId": "by-hand"}
        )


async def ask(house: House, customer: Customer, method: str, **fields: Any) -> Any:
    """The customer's own call, by one of ccxt's implicit methods."""
    async with house.client(house.opener.open(customer.sealed, customer.account_id)) as client:
        return await getattr(client, method)(fields)


async def test_the_source_documents_example(house: House) -> None:
    customer = await house.customer(balance_usdt=1000)
    done = await house.trade(
        "buy", customer, leverage=15, margin_usd=Decimal(200), stop_loss_pct=Decimal("1.5"), take_profit_pct=Decimal(8)
    )
    assert (done.status, done.error_message) == ("success", None)
    assert (done.executed_quantity, done.executed_price) == (Decimal("0.031"), Decimal("95234.50"))
    assert (done.stop_loss_price, done.take_profit_price) == (Decimal("93806.0"), Decimal("102853.2"))
    assert await amount(house, customer) == Decimal("0.031")
    assert await triggers(house, customer) == {"STOP_MARKET": "93806", "TAKE_PROFIT_MARKET": "102853.2"}
    assert len(await market_orders(house, customer)) == 1
    [opened] = house.opened()
    assert (opened.side, opened.quantity, opened.entry_price) == ("long", Decimal("0.031"), Decimal("95234.50"))
    assert done.naked_ms is not None


async def test_a_sell_opens_a_short_with_its_protections_mirrored(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("sell", customer)
    assert done.status == "success"
    assert await amount(house, customer) == Decimal("-0.010")
    assert (done.stop_loss_price, done.take_profit_price) == (Decimal("97615.3"), Decimal("90472.8"))


async def test_zero_percent_means_no_protection_and_unset_means_the_same(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, stop_loss_pct=Decimal(0), take_profit_pct=None)
    assert done.status == "success"
    assert await triggers(house, customer) == {}


async def test_a_margin_too_small_is_skipped_and_says_what_would_do(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, margin_usd=Decimal(1))
    assert (done.status, done.error_code) == ("skipped", "below_minimum")
    assert "9.62 USD" in (done.error_message or "")
    assert await market_orders(house, customer) == []


async def test_a_revoked_key_fails_with_binances_code_and_what_to_do(house: House) -> None:
    customer = await house.customer()
    await house.paper.revoke(customer.api_key)
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "key_rejected", -2015)
    assert "Make a new key" in (done.error_message or "")


async def test_too_little_balance_fails_with_binances_code_and_what_to_do(house: House) -> None:
    customer = await house.customer(balance_usdt=20)
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "insufficient_margin", -2019)
    assert "Transfer USDT" in (done.error_message or "")


async def test_an_unknown_ticker_is_named(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, symbol="NOSUCHUSDT")
    assert (done.status, done.error_code) == ("failed", "symbol_not_trading")
    assert "NOSUCHUSDT" in (done.error_message or "")


async def test_a_signal_grown_stale_is_not_traded(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, age_s=61)
    assert (done.status, done.error_code) == ("skipped", "expired")
    assert await market_orders(house, customer) == []


async def test_close_closes_what_was_opened_and_tells_the_profit_to_the_cent(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.price("96000.00")
    done = await house.trade("close", customer)
    assert (done.status, done.executed_price, done.executed_quantity) == ("success", Decimal(96000), Decimal("0.010"))
    assert await amount(house, customer) == 0
    assert await triggers(house, customer) == {}
    [closed] = house.closed()
    trades = (await house.paper.state(customer.api_key))["trades"]
    expected = sum(Decimal(row["realizedPnl"]) - Decimal(row["commission"]) for row in trades)
    assert (closed.close_reason, closed.realized_pnl_usd) == (CloseReason.SIGNAL, expected)


async def test_close_without_a_position_has_nothing_to_close(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("close", customer)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")


async def test_close_all_closes_every_symbol_of_the_subscription(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.trade("sell", customer, symbol="ETHUSDT")
    done = await house.trade("close_all", customer, symbol=None)
    assert done.status == "success"
    state = await house.paper.state(customer.api_key)
    assert (state["positions"], state["open_algo_orders"]) == ([], [])
    assert [closed.close_reason for closed in house.closed()] == [CloseReason.SIGNAL] * 2


async def test_a_second_buy_is_skipped_while_the_first_is_open(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code) == ("skipped", "position_already_open")
    assert await amount(house, customer) == Decimal("0.010")


async def test_a_sell_while_long_ends_short_by_the_asked_size(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    done = await house.trade("sell", customer)
    assert done.status == "success"
    assert await amount(house, customer) == Decimal("-0.010")
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
    assert [closed.close_reason for closed in house.closed()] == [CloseReason.SIGNAL]


async def test_the_bot_may_ask_to_close_only_or_to_ignore_an_opposite_signal(house: House) -> None:
    closing, ignoring = await house.customer(), await house.customer()
    await house.trade("buy", closing)
    await house.trade("buy", ignoring)
    assert (await house.trade("sell", closing, on_opposite="close")).status == "success"
    assert (await house.trade("sell", ignoring, on_opposite="ignore")).error_code == "opposite_position_open"
    assert (await amount(house, closing), await amount(house, ignoring)) == (Decimal(0), Decimal("0.010"))


async def test_a_fired_stop_is_noticed_at_the_next_signal(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.price("92000.00")
    done = await house.trade("close", customer)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")
    [closed] = house.closed()
    assert closed.close_reason is CloseReason.STOP_LOSS
    trades = (await house.paper.state(customer.api_key))["trades"]
    assert closed.realized_pnl_usd == sum(Decimal(row["realizedPnl"]) - Decimal(row["commission"]) for row in trades)


async def test_what_the_customer_holds_on_the_same_side_is_never_touched(house: House) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    done = await house.trade("buy", customer)
    assert done.status == "success"
    assert await amount(house, customer) == Decimal("0.015")
    state = await house.paper.state(customer.api_key)
    assert {(row["closePosition"], Decimal(row["quantity"])) for row in state["open_algo_orders"]} == {
        (False, Decimal("0.010"))
    }
    await house.trade("close", customer)
    assert await amount(house, customer) == Decimal("0.005")
    assert await triggers(house, customer) == {}


async def test_a_cancelling_that_is_refused_leaves_nothing_beside_what_the_customer_holds(
    house: House,
) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    await house.trade("buy", customer)
    path = "/fapi/v1/algoOrder"
    await house.paper.fault("error", code=-1022, path=path, method="DELETE", api_key=customer.api_key, times=3)
    assert (await house.trade("close", customer)).status == "success"
    assert await triggers(house, customer) == {}


async def test_an_entry_against_what_the_customer_holds_is_skipped(house: House) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "SELL", "0.005")
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code) == ("skipped", "symbol_in_use")
    assert await amount(house, customer) == Decimal("-0.005")


async def test_a_hedged_account_is_traded_in_its_own_mode(house: House) -> None:
    customer = await house.customer(hedge_mode=True)
    assert (await house.trade("buy", customer)).status == "success"
    assert await sides(house, customer) == {"LONG": Decimal("0.010")}
    assert (await house.trade("sell", customer)).status == "success"
    assert await sides(house, customer) == {"SHORT": Decimal("-0.010")}


async def test_at_most_so_many_positions_at_once(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer, max_concurrent_positions=1)
    done = await house.trade("buy", customer, symbol="ETHUSDT", max_concurrent_positions=1)
    assert (done.status, done.error_code) == ("skipped", "max_concurrent_positions")


async def test_a_loss_at_the_daily_limit_stops_entries(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.price("94000.00")
    await house.trade("close", customer)
    done = await house.trade("buy", customer, max_daily_loss_usd=Decimal(5))
    assert (done.status, done.error_code) == ("skipped", "daily_loss_limit")
    assert (await house.trade("buy", customer, max_daily_loss_usd=Decimal(500))).status == "success"


async def test_a_slow_customer_delays_nobody_else(house: House) -> None:
    slow, quick = await house.customer(), await house.customer()
    await house.paper.fault("latency", api_key=slow.api_key, latency_ms=250, times=100)
    first, second = await house.signal("buy", slow, quick)
    done = await house.finished(second)
    assert done.status == "success"
    assert not any(getattr(message, "execution_id", None) == first for message in house.told)
    assert (await house.finished(first)).status == "success"


async def test_signals_of_one_account_are_worked_off_in_order(house: House) -> None:
    customer = await house.customer()
    ids = [(await house.signal(action, customer))[0] for action in ("buy", "close", "sell", "close")]
    done = await asyncio.gather(*(house.finished(execution_id) for execution_id in ids))
    assert [one.status for one in done] == ["success"] * 4
    assert [row["side"] for row in await market_orders(house, customer)] == ["BUY", "SELL", "SELL", "BUY"]
    assert await amount(house, customer) == 0


async def test_a_redelivered_job_is_known(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.redeliver()
    await house.trade("close", customer)
    assert len(await market_orders(house, customer)) == 2
