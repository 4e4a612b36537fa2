"""What is particular to USDⓈ-M Futures: leverage brackets, margin types, position modes, triggers, thin books."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.executor.exchange.futures import Futures
from services.executor.orders import SymbolRules
from services.executor.tests.conftest import SYMBOL, Customer, House
from services.executor.tests.test_executor_flow import amount, ask, by_hand, market_orders, sides, triggers
from shared.contracts import CloseReason


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One database will do: what is shown here is between us and the exchange."""
    return f"sqlite+aiosqlite:///{tmp_path}/service.db"


SOL = "SOLUSDT"  # 187.35 USD; 75× up to 50,000 USD, 50× up to 500,000


async def settings_of(house: House, customer: Customer, symbol: str = SYMBOL) -> tuple[int, str]:
    [row] = await ask(house, customer, "fapiPrivateGetSymbolConfig", symbol=symbol)
    return int(row["leverage"]), row["marginType"]


@pytest.fixture
def a_contract_in_bitcoin(monkeypatch: pytest.MonkeyPatch) -> None:
    """ETHBTC, as Binance lists it among the USDⓈ-M contracts."""
    read_rules = Futures._read_rules

    async def with_ethbtc(futures: Futures) -> dict[str, SymbolRules]:
        rules = await read_rules(futures)
        return rules | {"ETHBTC": replace(rules["ETHUSDT"], symbol="ETHBTC", quote="BTC")}

    monkeypatch.setattr(Futures, "_read_rules", with_ethbtc)


async def test_a_contract_that_is_not_priced_in_dollars_is_not_traded(
    a_contract_in_bitcoin: None, house: House
) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, symbol="ETHBTC")
    assert (done.status, done.error_code) == ("failed", "symbol_not_trading")
    assert "ETHBTC is priced in BTC, not in dollars" in (done.error_message or "")


# --- Leverage ---


async def test_more_leverage_than_the_symbol_has_is_refused_before_anything_is_ordered(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, symbol=SOL, leverage=100)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "leverage_not_allowed", None)
    assert "at most 75× for SOLUSDT" in (done.error_message or "")
    assert await market_orders(house, customer) == []
    assert (await settings_of(house, customer, SOL))[0] == 20


async def test_a_subscription_may_take_the_highest_leverage_allowed_instead(house: House) -> None:
    customer = await house.customer(balance_usdt=50_000)
    done = await house.trade("buy", customer, symbol=SOL, leverage=100, leverage_policy="clamp")
    assert (done.status, done.executed_quantity) == ("success", Decimal("40.03"))  # 100 USD × 75
    assert (await settings_of(house, customer, SOL))[0] == 75


async def test_a_position_beyond_its_bracket_is_refused_or_made_with_less_leverage(house: House) -> None:
    rejecting, clamping = await house.customer(balance_usdt=50_000), await house.customer(balance_usdt=50_000)
    asked: dict[str, Any] = {"symbol": SOL, "leverage": 75, "margin_usd": Decimal(1_000)}
    done = await house.trade("buy", rejecting, **asked)
    assert (done.status, done.error_code) == ("failed", "position_too_large")
    assert "With this margin 50× is allowed" in (done.error_message or "")
    assert await market_orders(house, rejecting) == []
    done = await house.trade("buy", clamping, leverage_policy="clamp", **asked)
    assert (done.status, done.executed_quantity) == ("success", Decimal("266.88"))  # 1,000 USD × 50
    assert (await settings_of(house, clamping, SOL))[0] == 50


async def test_what_the_customer_holds_counts_against_the_bracket(house: House) -> None:
    customer = await house.customer(balance_usdt=50_000)
    held = {"symbol": SOL, "side": "BUY", "type": "MARKET", "quantity": "200"}
    await ask(house, customer, "fapiPrivatePostOrder", **held)  # 37,470 USD
    asked: dict[str, Any] = {"symbol": SOL, "leverage": 75, "margin_usd": Decimal(200)}
    done = await house.trade("buy", customer, **asked)
    assert (done.status, done.error_code) == ("failed", "position_too_large")
    done = await house.trade("buy", customer, leverage_policy="clamp", **asked)
    assert done.status == "success"
    assert await amount(house, customer, SOL) == 200 + (done.executed_quantity or 0)
    assert (await settings_of(house, customer, SOL))[0] == 62  # 200 USD × 62 + 37,470 USD, and not 63


async def test_a_leverage_that_the_customer_changed_meanwhile_is_set_again(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.trade("close", customer)
    await ask(house, customer, "fapiPrivatePostLeverage", symbol=SYMBOL, leverage="125")
    assert (await house.trade("buy", customer)).status == "success"
    assert (await settings_of(house, customer))[0] == 10


async def test_a_leverage_that_binance_refuses_is_planned_again_by_the_brackets_of_now(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("error", code=-4028, method="POST", path="/fapi/v1/leverage", api_key=customer.api_key)
    assert (await house.trade("buy", customer)).status == "success"


# --- Margin type ---


async def test_the_margin_type_that_the_bot_asks_for_is_set_once_and_then_left(house: House) -> None:
    customer = await house.customer()
    assert (await house.trade("buy", customer, margin_type="isolated")).status == "success"
    assert await settings_of(house, customer) == (10, "ISOLATED")
    await house.trade("close", customer)
    await house.paper.fault("error", code=-1000, path="/fapi/v1/marginType", times=0)
    assert (await house.trade("buy", customer, margin_type="isolated")).status == "success"
    await house.trade("close", customer)
    assert (await house.trade("sell", customer)).status == "success"
    assert await settings_of(house, customer) == (10, "ISOLATED")


async def test_a_margin_type_that_is_so_already_is_as_good_as_set(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("error", code=-4046, method="POST", path="/fapi/v1/marginType", times=0)
    assert (await house.trade("buy", customer, margin_type="isolated")).status == "success"


async def test_a_margin_type_locked_by_what_the_customer_holds_is_a_failure_and_nothing_is_ordered(
    house: House,
) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    done = await house.trade("buy", customer, margin_type="isolated")
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "margin_type_locked", -4048)
    assert await amount(house, customer) == Decimal("0.005")
    assert (await house.trade("buy", customer, margin_type="crossed")).status == "success"


async def test_an_account_in_multi_assets_mode_cannot_be_isolated(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("error", code=-4168, method="POST", path="/fapi/v1/marginType")
    done = await house.trade("buy", customer, margin_type="isolated")
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "margin_type_locked", -4168)
    assert "multi-assets mode off" in (done.error_message or "")
    assert await market_orders(house, customer) == []


# --- Protections ---


async def test_the_price_that_triggers_and_its_protection_are_the_bots(house: House) -> None:
    usual, other = await house.customer(), await house.customer()
    await house.trade("buy", usual)
    await house.trade("buy", other, protection_working_type="contract_price", price_protect=True)
    for customer, expected in ((usual, ("MARK_PRICE", False)), (other, ("CONTRACT_PRICE", True))):
        rows = (await house.paper.state(customer.api_key))["open_algo_orders"]
        assert {(row["workingType"], row["priceProtect"]) for row in rows} == {expected}
        assert len(rows) == 2


async def test_a_stop_beyond_the_symbols_prices_stands_at_the_last_of_them(house: House) -> None:
    customer = await house.customer()
    done = await house.trade("buy", customer, stop_loss_pct=Decimal("99.9"), take_profit_pct=Decimal(100_000))
    assert (done.status, done.stop_loss_price, done.take_profit_price) == (
        "success",
        Decimal("556.8"),
        Decimal(4_529_764),
    )


# --- Holdings and modes ---


async def test_a_bot_may_leave_symbols_alone_that_the_customer_holds(house: House) -> None:
    customer = await house.customer()
    await by_hand(house, customer, "BUY", "0.005")
    done = await house.trade("buy", customer, when_symbol_held="skip")
    assert (done.status, done.error_code) == ("skipped", "symbol_in_use")
    assert await amount(house, customer) == Decimal("0.005")


async def test_a_hedged_account_keeps_what_the_customer_holds_on_the_other_side(house: House) -> None:
    customer = await house.customer(hedge_mode=True)
    held = {"symbol": SYMBOL, "side": "SELL", "positionSide": "SHORT", "type": "MARKET", "quantity": "0.005"}
    await ask(house, customer, "fapiPrivatePostOrder", **held)
    assert (await house.trade("buy", customer, when_symbol_held="skip")).status == "success"
    assert await sides(house, customer) == {"LONG": Decimal("0.010"), "SHORT": Decimal("-0.005")}
    await house.trade("close", customer)
    assert await sides(house, customer) == {"SHORT": Decimal("-0.005")}
    assert await triggers(house, customer) == {}


@pytest.mark.parametrize("hedged", [False, True])
async def test_a_position_mode_changed_while_flat_is_found_out_and_traded_in(house: House, hedged: bool) -> None:
    customer = await house.customer(hedge_mode=hedged)
    await house.trade("buy", customer)
    await house.trade("close", customer)
    await ask(house, customer, "fapiPrivatePostPositionSideDual", dualSidePosition=str(not hedged).lower())
    done = await house.trade("sell", customer)
    assert (done.status, done.error_message) == ("success", None)
    assert await sides(house, customer) == {"BOTH" if hedged else "SHORT": Decimal("-0.010")}
    assert set(await triggers(house, customer)) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_position_closed_by_hand_before_the_mode_was_changed_is_gone_for_a_close(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await by_hand(house, customer, "SELL", "0.010")
    await ask(house, customer, "fapiPrivatePostPositionSideDual", dualSidePosition="true")
    done = await house.trade("close", customer)
    assert (done.status, done.error_code) == ("skipped", "nothing_to_close")
    assert [closed.close_reason for closed in house.closed()] == [CloseReason.EXTERNAL]


async def test_a_stop_loss_refused_for_the_accounts_mode_closes_the_position(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("error", code=-4061, method="POST", path="/fapi/v1/algoOrder", times=0)
    done = await house.trade("buy", customer)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "unprotected_closed", -4061)
    assert await amount(house, customer) == 0


# --- Thin books ---


async def test_what_filled_of_an_entry_is_the_position_and_is_protected(house: House) -> None:
    customer = await house.customer()
    await house.paper.book(SYMBOL, {"share_pct": "40"})
    done = await house.trade("buy", customer, max_entries_per_symbol=2)
    assert (done.status, done.executed_quantity) == ("success", Decimal("0.004"))
    rows = (await house.paper.state(customer.api_key))["open_algo_orders"]
    assert {(row["orderType"], Decimal(row["quantity"])) for row in rows} == {
        ("STOP_MARKET", Decimal("0.004")),
        ("TAKE_PROFIT_MARKET", Decimal("0.004")),
    }
    await house.trade("close", customer)
    assert await amount(house, customer) == 0


async def test_an_entry_beyond_the_market_take_bound_is_no_position(house: House) -> None:
    refused, unfilled = await house.customer(), await house.customer()
    await house.paper.book(SYMBOL, {"share_pct": "100", "worse_pct": "6"}, api_key=refused.api_key, times=0)
    await house.paper.book(SYMBOL, api_key=unfilled.api_key, times=0)
    done = await house.trade("buy", refused)
    assert (done.status, done.error_code, done.exchange_code) == ("failed", "no_counterparty", -4131)
    done = await house.trade("buy", unfilled)
    assert (done.status, done.error_code) == ("failed", "not_filled")
    for customer in (refused, unfilled):
        assert await amount(house, customer) == 0


async def test_an_exit_that_fills_in_part_goes_on_until_it_is_flat(house: House) -> None:
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.book(SYMBOL, {"share_pct": "30"}, api_key=customer.api_key, times=2)
    done = await house.trade("close", customer)
    assert done.status == "success"
    assert await amount(house, customer) == 0
    assert [row["executedQty"] for row in (await market_orders(house, customer))[1:]] == ["0.003", "0.002", "0.005"]
    [closed] = house.closed()
    trades = (await house.paper.state(customer.api_key))["trades"]
    assert closed.realized_pnl_usd == sum(Decimal(row["realizedPnl"]) - Decimal(row["commission"]) for row in trades)
