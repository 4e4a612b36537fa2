"""Quantities and triggers that Binance takes and that never risk more than was asked."""

from decimal import ROUND_DOWN, Decimal
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from services.executor.orders import Direction, SymbolRules
from services.executor.sizing import quantity, stop_trigger, target_trigger
from services.executor.why import Why
from shared.contracts import TradeConfig

BTC = SymbolRules("BTCUSDT", Decimal("0.10"), Decimal("0.001"), Decimal("0.001"), Decimal(120), Decimal(50))
STEPS = st.sampled_from([Decimal(text) for text in ("1000", "10", "1", "0.5", "0.1", "0.025", "0.001", "0.00001")])
DIRECTIONS: st.SearchStrategy[Direction] = st.sampled_from(("long", "short"))
PERCENTAGES = st.decimals("0.01", 99, places=2)


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, high, places=places)


PRICES = st.one_of(decimals("0.0000001", "0.01", 7), decimals("0.01", "10", 5), decimals("10", "500000", 2))


def config(margin_usd: Decimal, leverage: int) -> TradeConfig:
    return TradeConfig(
        market_type="futures",
        leverage=leverage,
        margin_usd=margin_usd,
        stop_loss_pct=None,
        take_profit_pct=None,
        max_daily_loss_usd=None,
        max_concurrent_positions=None,
        on_opposite="reverse",
        max_entries_per_symbol=1,
    )


@st.composite
def rules(draw: Any) -> SymbolRules:
    step = draw(STEPS)
    # the minimum need not be a multiple of the step: each may come from another filter
    least = draw(st.one_of(st.just(step), st.builds(lambda n: step * n / 4, st.integers(1, 4_000))))
    most = least + step * draw(st.integers(1, 10**9))
    return SymbolRules("XUSDT", draw(STEPS), step, least, most, draw(decimals("0", "100", 2)))


@given(rules(), PRICES, decimals("0.01", "1000000", 2), st.integers(1, 125))
def test_a_quantity_is_legal_and_never_more_than_margin_times_leverage(
    rules: SymbolRules, price: Decimal, margin: Decimal, leverage: int
) -> None:
    amount = quantity(config(margin, leverage), price, rules)
    if isinstance(amount, Why):
        assert amount.reason in ("above_maximum", "below_minimum")
        return
    assert amount % rules.quantity_step == 0
    assert rules.quantity_min <= amount <= rules.quantity_max
    assert rules.notional_min <= amount * price <= margin * leverage
    # and not less than could be had
    assert (amount + rules.quantity_step) * price > margin * leverage


@given(rules(), PRICES, decimals("0.01", "0.99", 2), st.integers(1, 125))
def test_the_margin_that_is_said_to_be_needed_suffices(
    rules: SymbolRules, price: Decimal, share: Decimal, leverage: int
) -> None:
    margin = (share * rules.quantity_min * price / leverage).quantize(Decimal("1e-12"), ROUND_DOWN)
    said = quantity(config(margin, leverage), price, rules)
    assert isinstance(said, Why)
    assert said.reason == "below_minimum"
    needed = Decimal(said.words.en.partition("a margin of about ")[2].split()[0])
    assert needed > margin
    again = quantity(config(needed, leverage), price, rules)
    assert not isinstance(again, Why) or again.reason == "above_maximum"


@given(DIRECTIONS, PRICES, PERCENTAGES, STEPS)
def test_a_stop_is_on_the_losing_side_and_loses_no_more_than_asked(
    direction: Direction, entry: Decimal, pct: Decimal, tick: Decimal
) -> None:
    assume(entry > tick)
    stop = stop_trigger(direction, entry, pct, tick)
    loss = entry - stop if direction == "long" else stop - entry
    assert stop % tick == 0
    assert stop > 0
    assert 0 < loss <= max(entry * pct / 100, tick)


@given(DIRECTIONS, PRICES, PERCENTAGES, STEPS)
def test_a_target_is_on_the_winning_side_and_no_later_than_asked(
    direction: Direction, entry: Decimal, pct: Decimal, tick: Decimal
) -> None:
    assume(entry > tick)
    target = target_trigger(direction, entry, pct, tick)
    gain = target - entry if direction == "long" else entry - target
    assert target % tick == 0
    assert target > 0
    assert 0 < gain <= max(entry * pct / 100, tick)


def test_the_source_documents_example() -> None:
    entry = Decimal("95234.50")
    assert quantity(config(Decimal(200), 15), entry, BTC) == Decimal("0.031")
    assert entry * (1 - Decimal("0.015")) == Decimal("93805.9825")
    assert stop_trigger("long", entry, Decimal("1.5"), BTC.tick) == Decimal("93806.0")
    assert entry * (1 + Decimal("0.08")) == Decimal("102853.26")
    assert target_trigger("long", entry, Decimal(8), BTC.tick) == Decimal("102853.2")


def test_a_short_is_the_mirror_image() -> None:
    entry = Decimal("95234.50")
    assert stop_trigger("short", entry, Decimal("1.5"), BTC.tick) == Decimal("96663.0")
    assert target_trigger("short", entry, Decimal(8), BTC.tick) == Decimal("87615.8")


def test_too_large_an_order_is_named_as_such() -> None:
    too_large = quantity(config(Decimal(1_000_000), 125), Decimal(100_000), BTC)
    assert isinstance(too_large, Why)
    assert (too_large.reason, "at most 120" in too_large.words.en) == ("above_maximum", True)
