"""Sizes and triggers that Binance takes and that never risk more than was asked."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.executor.brackets import highest, most_leverage, most_usd
from services.executor.orders import Bracket, Direction, SymbolRules
from services.executor.sizing import Size, can_be_protected, size, stop_trigger, target_trigger
from services.executor.why import Why
from shared.contracts import LeveragePolicy, TradeConfig
from shared.money import ceil_to, common_step, floor_to

BTC = SymbolRules(
    "BTCUSDT",
    tick=Decimal("0.10"),
    quantity_step=Decimal("0.001"),
    quantity_min=Decimal("0.001"),
    quantity_max=Decimal(120),
    notional_min=Decimal(50),
    price_min=Decimal("556.80"),
    price_max=Decimal(4_529_764),
)
SOL_BRACKETS = (Bracket(75, Decimal(50_000)), Bracket(50, Decimal(500_000)), Bracket(25, Decimal(1_000_000)))
STEPS = st.sampled_from([Decimal(text) for text in ("1000", "10", "1", "0.5", "0.1", "0.025", "0.001", "0.00001")])
DIRECTIONS: st.SearchStrategy[Direction] = st.sampled_from(("long", "short"))
PERCENTAGES = st.decimals("0.01", 400, places=2)
LEVERAGES = st.integers(1, 125)
POLICIES: st.SearchStrategy[LeveragePolicy] = st.sampled_from(("reject", "clamp"))


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, high, places=places)


PRICES = st.one_of(decimals("0.0000001", "0.01", 7), decimals("0.01", "10", 5), decimals("10", "500000", 2))
MARGINS = decimals("0.01", "1000000", 2)


def config(margin_usd: Decimal, leverage: int, policy: LeveragePolicy = "reject", **more: Any) -> TradeConfig:
    fields: dict[str, Any] = {
        "market_type": "futures",
        "leverage": leverage,
        "margin_usd": margin_usd,
        "stop_loss_pct": None,
        "take_profit_pct": None,
        "max_daily_loss_usd": None,
        "max_concurrent_positions": None,
        "on_opposite": "reverse",
        "max_entries_per_symbol": 1,
        "leverage_policy": policy,
    }
    return TradeConfig(**fields | more)


@st.composite
def rules(draw: Any) -> SymbolRules:
    step, tick = draw(STEPS), draw(STEPS)
    # the minimum need not be a multiple of the step: each may come from another filter
    least = draw(
        st.one_of(st.just(Decimal(0)), st.just(step), st.builds(lambda n: step * n / 4, st.integers(1, 4_000)))
    )
    most = least + step * draw(st.integers(1, 10**9))
    lowest = tick * draw(st.integers(0, 1_000))
    highest = draw(st.one_of(st.just(Decimal(0)), st.builds(lambda n: lowest + tick * n, st.integers(1, 10**9))))
    return SymbolRules("XUSDT", tick, step, least, most, draw(decimals("0", "100", 2)), lowest, highest)


@st.composite
def some_brackets(draw: Any) -> tuple[Bracket, ...]:
    """As Binance's are: less leverage for more notional; sometimes none are known."""
    leverages = sorted(draw(st.sets(LEVERAGES, max_size=6)), reverse=True)
    caps = sorted(draw(st.lists(decimals("10", "100000000", 2), min_size=len(leverages), max_size=len(leverages))))
    return tuple(Bracket(*pair) for pair in zip(leverages, caps, strict=True))


@st.composite
def fills(draw: Any) -> tuple[Decimal, SymbolRules]:
    """A price, and a symbol that it may be the price of."""
    price = draw(PRICES)
    tick = Decimal(draw(st.sampled_from(("0.5", "0.1", "0.01", "0.001", "0.00001"))))
    tick = min(tick, Decimal(10) ** (price.adjusted() - 1))
    lowest = floor_to(price * draw(decimals("0", "0.999", 3)), tick)
    highest = draw(
        st.one_of(st.just(Decimal(0)), st.builds(lambda n: ceil_to(price * n, tick), decimals("1.001", "50", 3)))
    )
    return price, replace(BTC, tick=tick, price_min=lowest, price_max=highest)


HELD = st.one_of(st.just(Decimal(0)), decimals("0", "1000000", 2))


@given(rules(), PRICES, MARGINS, LEVERAGES, POLICIES, some_brackets(), HELD)
def test_an_order_is_legal_for_its_symbol_and_account_and_never_more_than_margin_times_leverage(
    rules: SymbolRules,
    price: Decimal,
    margin: Decimal,
    leverage: int,
    policy: LeveragePolicy,
    brackets: Sequence[Bracket],
    held: Decimal,
) -> None:
    sized = size(config(margin, leverage, policy), price, rules, brackets, held)
    if isinstance(sized, Why):
        return
    assert sized.quantity % rules.quantity_step == 0
    assert max(rules.quantity_min, rules.quantity_step) <= sized.quantity <= rules.quantity_max
    with localcontext(prec=60):
        notional = sized.quantity * price
        assert rules.notional_min <= notional <= margin * sized.leverage <= margin * leverage
        # and not less than could be had at this leverage
        assert notional + rules.quantity_step * price > margin * sized.leverage
    assert 1 <= sized.leverage <= leverage
    assert policy == "clamp" or sized.leverage == leverage
    if brackets:
        assert max(b.most_usd for b in brackets if b.leverage >= sized.leverage) >= notional + held


@given(PRICES, MARGINS, LEVERAGES, some_brackets(), HELD)
def test_clamping_takes_the_highest_leverage_that_binance_allows_and_raises_nothing(
    price: Decimal, margin: Decimal, leverage: int, brackets: Sequence[Bracket], held: Decimal
) -> None:
    allowed = highest(brackets, leverage, margin, held)
    fits = [
        lower
        for lower in range(1, leverage + 1)
        if not brackets or any(b.leverage >= lower and margin * lower + held <= b.most_usd for b in brackets)
    ]
    assert allowed == max(fits, default=None)


@given(rules(), PRICES, MARGINS, LEVERAGES, some_brackets(), HELD)
def test_rejecting_names_a_leverage_or_a_size_that_binance_does_not_allow(
    rules: SymbolRules,
    price: Decimal,
    margin: Decimal,
    leverage: int,
    brackets: Sequence[Bracket],
    held: Decimal,
) -> None:
    assume(brackets)
    sized = size(config(margin, leverage), price, rules, brackets, held)
    reason = sized.reason if isinstance(sized, Why) else None
    assert (reason == "leverage_not_allowed") == (leverage > most_leverage(brackets) and _some(brackets, margin, held))
    too_large = margin * leverage + held > most_usd(brackets, leverage)
    assert (reason in ("leverage_not_allowed", "position_too_large")) == too_large


def _some(brackets: Sequence[Bracket], margin: Decimal, held: Decimal) -> bool:
    return any(margin + held <= b.most_usd for b in brackets)


@given(rules(), PRICES, decimals("0.01", "0.99", 2), LEVERAGES, POLICIES, some_brackets(), HELD)
def test_the_margin_that_is_said_to_be_needed_suffices(
    rules: SymbolRules,
    price: Decimal,
    share: Decimal,
    leverage: int,
    policy: LeveragePolicy,
    brackets: Sequence[Bracket],
    held: Decimal,
) -> None:
    least = max(rules.quantity_min, rules.quantity_step) * price
    margin = (share * least / leverage).quantize(Decimal("1e-12"), ROUND_DOWN)
    said = size(config(margin, leverage, policy), price, rules, brackets, held)
    assert isinstance(said, Why)
    if said.reason != "below_minimum" or "a margin of about " not in said.words.en:
        return
    needed = Decimal(said.words.en.partition("a margin of about ")[2].split()[0])
    assert needed > margin
    again = config(needed, leverage, policy)
    assert isinstance(size(again, price, rules, brackets, held), Size)


def test_too_small_says_what_would_do_and_in_whole_cents() -> None:
    said = size(config(Decimal(1), 10), Decimal("95234.5"), BTC)
    assert isinstance(said, Why)
    assert "it needs a margin of about 9.62 USD" in said.words.en


@given(DIRECTIONS, fills(), PERCENTAGES)
def test_a_stop_is_legal_on_the_losing_side_and_loses_no_more_than_asked(
    direction: Direction, fill: tuple[Decimal, SymbolRules], pct: Decimal
) -> None:
    entry, rules = fill
    assume(can_be_protected(direction, entry, config(Decimal(1), 1, stop_loss_pct=pct), rules))
    stop = stop_trigger(direction, entry, pct, rules)
    _is_legal(stop, rules)
    loss = entry - stop if direction == "long" else stop - entry
    assert 0 < loss <= max(entry * pct / 100, rules.tick)


@given(DIRECTIONS, fills(), PERCENTAGES)
def test_a_target_is_legal_on_the_winning_side_and_no_later_than_asked(
    direction: Direction, fill: tuple[Decimal, SymbolRules], pct: Decimal
) -> None:
    entry, rules = fill
    assume(can_be_protected(direction, entry, config(Decimal(1), 1, take_profit_pct=pct), rules))
    target = target_trigger(direction, entry, pct, rules)
    _is_legal(target, rules)
    gain = target - entry if direction == "long" else entry - target
    assert 0 < gain <= max(entry * pct / 100, rules.tick)


@given(DIRECTIONS, rules(), PRICES, PERCENTAGES)
def test_a_trigger_is_legal_wherever_the_fill_was(
    direction: Direction, rules: SymbolRules, entry: Decimal, pct: Decimal
) -> None:
    _is_legal(stop_trigger(direction, entry, pct, rules), rules)
    _is_legal(target_trigger(direction, entry, pct, rules), rules)


def _is_legal(trigger: Decimal, rules: SymbolRules) -> None:
    assert trigger > 0
    assert (trigger - rules.price_min) % rules.tick == 0
    assert rules.price_min <= trigger
    assert not rules.price_max or trigger <= rules.price_max


def test_a_stop_beyond_the_symbols_prices_stands_at_the_last_of_them() -> None:
    assert stop_trigger("long", Decimal("95234.5"), Decimal("99.9"), BTC) == Decimal("556.8")
    assert target_trigger("long", Decimal("95234.5"), Decimal(10_000), BTC) == Decimal(4_529_764)
    assert target_trigger("short", Decimal("95234.5"), Decimal(100), BTC) == Decimal("556.8")


@pytest.mark.parametrize(
    ("direction", "price", "possible"),
    [
        *(("long", "556.8", False), ("short", "556.8", True), ("long", "4529764", True), ("short", "4529764", False)),
        # clamped, these would stand on the losing side, but lose more than was asked
        *(("short", "100", False), ("long", "5000000", False)),
    ],
)
def test_where_no_stop_loss_can_stand_nothing_is_opened(direction: Direction, price: str, possible: bool) -> None:
    asked = config(Decimal(100), 10, stop_loss_pct=Decimal(2))
    assert can_be_protected(direction, Decimal(price), asked, BTC) is possible
    assert can_be_protected(direction, Decimal(price), config(Decimal(100), 10), BTC)


def test_the_source_documents_example() -> None:
    entry = Decimal("95234.50")
    assert size(config(Decimal(200), 15), entry, BTC) == Size(15, Decimal("0.031"))
    assert entry * (1 - Decimal("0.015")) == Decimal("93805.9825")
    assert stop_trigger("long", entry, Decimal("1.5"), BTC) == Decimal("93806.0")
    assert entry * (1 + Decimal("0.08")) == Decimal("102853.26")
    assert target_trigger("long", entry, Decimal(8), BTC) == Decimal("102853.2")


def test_a_short_is_the_mirror_image() -> None:
    entry = Decimal("95234.50")
    assert stop_trigger("short", entry, Decimal("1.5"), BTC) == Decimal("96663.0")
    assert target_trigger("short", entry, Decimal(8), BTC) == Decimal("87615.8")


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        (config(Decimal(1_000_000), 125), "above_maximum", "at most 120 in one market order"),
        (config(Decimal(10), 126), "leverage_not_allowed", "at most 75× for BTCUSDT"),
        (config(Decimal(1_000), 75), "position_too_large", "With this margin 50× is allowed"),
        (config(Decimal(1_000_001), 75), "position_too_large", "No leverage is low enough"),
        (config(Decimal(1_000_001), 75, "clamp"), "position_too_large", "No leverage is low enough"),
    ],
)
def test_what_is_too_much_says_what_would_be_allowed(asked: TradeConfig, reason: str, says: str) -> None:
    brackets = () if reason == "above_maximum" else SOL_BRACKETS
    refused = size(asked, Decimal(100_000), BTC, brackets)
    assert isinstance(refused, Why)
    assert refused.reason == reason
    assert says in refused.words.en


def test_clamping_lowers_the_leverage_and_with_it_the_position_and_keeps_the_margin() -> None:
    assert size(config(Decimal(1_000), 75, "clamp"), Decimal(1_000), BTC, SOL_BRACKETS) == Size(50, Decimal(50))
    assert size(config(Decimal(15_000), 75, "clamp"), Decimal(10_000), BTC, SOL_BRACKETS) == Size(33, Decimal("49.5"))
    assert size(config(Decimal(10), 125, "clamp"), Decimal(1_000), BTC, SOL_BRACKETS) == Size(75, Decimal("0.75"))


def test_what_the_account_holds_already_counts_against_the_brackets() -> None:
    asked = config(Decimal(600), 75)
    assert isinstance(size(asked, Decimal(1_000), BTC, SOL_BRACKETS, Decimal(5_000)), Size)
    assert isinstance(size(asked, Decimal(1_000), BTC, SOL_BRACKETS, Decimal(5_001)), Why)


@given(STEPS, STEPS, st.integers(1, 1_000))
def test_a_common_step_suits_both_filters(one: Decimal, other: Decimal, times: int) -> None:
    step = common_step(one, other)
    assert step % one == 0
    assert step % other == 0
    assert floor_to(step * times, step) == step * times
    assert common_step(one, Decimal(0)) == one
