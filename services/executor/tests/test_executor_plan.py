"""What is planned, from the signal and what the account holds."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.orders import (
    AccountView,
    Bracket,
    Direction,
    MarketOrder,
    Position,
    PositionSide,
    Purpose,
    SetLeverage,
    SetMarginType,
    Step,
    SymbolRules,
)
from services.executor.plan import Plan, plan
from shared.contracts import Action, CloseReason, Job, Signal, TradeConfig

RULES = SymbolRules("BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(100), Decimal(50))
QUANTITY = Decimal("0.010")  # 100 USD × 10 at 100,000


def signal(action: Action, symbol: str | None = "BTCUSDT") -> Signal:
    return Signal(
        signal_id=UUID(int=1),
        bot_id=UUID(int=2),
        action=action,
        ticker=symbol,
        symbol=symbol,
        price=None,
        source_ip="127.0.0.1",
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        body_digest="",
    )


def job(**config: Any) -> Job:
    defaults: dict[str, Any] = {
        "market_type": "futures",
        "leverage": 10,
        "margin_usd": Decimal(100),
        "stop_loss_pct": Decimal(2),
        "take_profit_pct": None,
        "max_daily_loss_usd": None,
        "max_concurrent_positions": None,
        "on_opposite": "reverse",
        "max_entries_per_symbol": 1,
    }
    return Job(
        execution_id=UUID(int=3),
        subscription_id=UUID(int=4),
        user_id=UUID(int=5),
        exchange_account_id=UUID(int=6),
        environment="paper",
        sealed_credentials="",
        sequence=1,
        config=TradeConfig(**defaults | config),
        expires_at=None,
    )


def position(
    direction: Direction, symbol: str = "BTCUSDT", side: PositionSide = "BOTH", quantity: Decimal = QUANTITY
) -> Position:
    return Position(UUID(int=7), symbol, direction, side, quantity, Decimal(100_000), "1", 0)


def view(*own: Position, others: tuple[Position, ...] = (), by_hand: str = "0", **fields: Any) -> AccountView:
    """An account that holds `own`, what other subscriptions opened, and `by_hand` BTC of the customer's."""
    hedge = fields.get("hedge", False)
    held: dict[tuple[str, PositionSide], Decimal] = {}
    for one in (*own, *others):
        held[one.symbol, one.position_side] = held.get((one.symbol, one.position_side), Decimal(0)) + one.signed
    side: PositionSide = "BOTH" if not hedge else ("LONG" if Decimal(by_hand) > 0 else "SHORT")
    held["BTCUSDT", side] = held.get(("BTCUSDT", side), Decimal(0)) + Decimal(by_hand)
    rows = tuple((symbol, side, amount) for (symbol, side), amount in held.items())
    account = AccountView(hedge, RULES, Decimal(100_000), 10, rows, own, others)
    return replace(account, **fields)


def words(planned: Plan) -> str:
    """A plan in a few words: `exit long, buy`, with why there is no entry."""

    def word(step: Step) -> str:
        if isinstance(step, SetLeverage):
            return f"leverage {step.leverage}"
        if isinstance(step, SetMarginType):
            return step.margin_type
        assert isinstance(step, MarketOrder)
        if step.position is None:
            return step.side.lower()
        return f"exit {step.position.direction}"

    done = ", ".join(word(step) for step in planned.steps)
    return f"{done}: {planned.failure.code}" if planned.failure else done


OURS_LONG, OURS_SHORT = position("long"), position("short")
HUGE = position("long", quantity=Decimal("0.050"))
LOW = (Bracket(5, Decimal(5_000)), Bracket(4, Decimal(8_000)))
ETH = position("long", "ETHUSDT")

ENTRIES = [
    # action, configuration, account, plan
    ("buy", {}, view(), "buy"),
    ("sell", {}, view(), "sell"),
    ("buy", {}, view(leverage=20), "leverage 10, buy"),
    ("buy", {}, view(leverage=None), "leverage 10, buy"),
    ("buy", {}, view(OURS_LONG), ": position_already_open"),
    ("sell", {}, view(OURS_SHORT), ": position_already_open"),
    ("buy", {"max_entries_per_symbol": 2}, view(OURS_LONG), "buy"),
    ("buy", {"max_entries_per_symbol": 2}, view(OURS_LONG, OURS_LONG), ": position_already_open"),
    ("buy", {}, view(ETH), "buy"),
    # an opposite position of ours
    ("sell", {"on_opposite": "reverse"}, view(OURS_LONG), "exit long, sell"),
    ("sell", {"on_opposite": "close"}, view(OURS_LONG), "exit long"),
    ("sell", {"on_opposite": "ignore"}, view(OURS_LONG), ": opposite_position_open"),
    ("buy", {"on_opposite": "reverse"}, view(OURS_SHORT), "exit short, buy"),
    ("buy", {"on_opposite": "close"}, view(OURS_SHORT), "exit short"),
    ("buy", {"on_opposite": "ignore"}, view(OURS_SHORT), ": opposite_position_open"),
    ("sell", {"max_entries_per_symbol": 2}, view(OURS_LONG, OURS_LONG), "exit long, exit long, sell"),
    ("sell", {"on_opposite": "close"}, view(), "sell"),
    ("sell", {"on_opposite": "ignore"}, view(), "sell"),
    # another subscription's
    ("buy", {}, view(others=(OURS_LONG,)), ": symbol_in_use"),
    ("sell", {}, view(others=(OURS_LONG,)), ": symbol_in_use"),
    ("buy", {}, view(others=(ETH,)), "buy"),
    ("sell", {}, view(OURS_LONG, others=(OURS_LONG,)), "exit long: symbol_in_use"),
    # the customer's own: a one-way account nets, so that an entry against it would reduce it
    ("buy", {}, view(by_hand="1"), "buy"),
    ("sell", {}, view(by_hand="1"), ": symbol_in_use"),
    ("sell", {}, view(by_hand="-1"), "sell"),
    ("buy", {}, view(by_hand="-1"), ": symbol_in_use"),
    ("sell", {}, view(OURS_LONG, by_hand="1"), "exit long: symbol_in_use"),
    ("sell", {}, view(OURS_LONG, by_hand="-0.005"), "exit long, sell"),
    ("buy", {"when_symbol_held": "skip"}, view(by_hand="1"), ": symbol_in_use"),
    ("buy", {"when_symbol_held": "skip"}, view(), "buy"),
    # a hedged account keeps them apart
    ("buy", {}, view(hedge=True), "buy"),
    ("sell", {}, view(hedge=True, by_hand="1"), "sell"),
    ("buy", {}, view(hedge=True, by_hand="-1"), "buy"),
    ("buy", {}, view(hedge=True, by_hand="1"), "buy"),
    ("sell", {}, view(position("long", side="LONG"), hedge=True), "exit long, sell"),
    # limits: what a reversal closes no longer counts
    ("buy", {"max_concurrent_positions": 1}, view(), "buy"),
    ("buy", {"max_concurrent_positions": 1}, view(ETH), ": max_concurrent_positions"),
    ("buy", {"max_concurrent_positions": 2}, view(ETH), "buy"),
    ("buy", {"max_concurrent_positions": 0}, view(), ": max_concurrent_positions"),
    ("sell", {"max_concurrent_positions": 1}, view(OURS_LONG), "exit long, sell"),
    ("sell", {"max_concurrent_positions": 1}, view(OURS_LONG, ETH), "exit long: max_concurrent_positions"),
    ("buy", {"max_concurrent_positions": 1}, view(others=(ETH,)), "buy"),
    ("buy", {"max_daily_loss_usd": Decimal(50)}, view(lost_today_usd=Decimal("49.99")), "buy"),
    ("buy", {"max_daily_loss_usd": Decimal(50)}, view(lost_today_usd=Decimal(50)), ": daily_loss_limit"),
    ("buy", {"max_daily_loss_usd": Decimal(0)}, view(), ": daily_loss_limit"),
    (
        "sell",
        {"max_daily_loss_usd": Decimal(1)},
        view(OURS_LONG, lost_today_usd=Decimal(2)),
        "exit long: daily_loss_limit",
    ),
    # what the account has set, and may set
    ("buy", {"margin_type": "isolated"}, view(margin_type="crossed"), "isolated, buy"),
    ("buy", {"margin_type": "isolated"}, view(), "isolated, buy"),
    ("buy", {"margin_type": "isolated"}, view(margin_type="isolated"), "buy"),
    ("buy", {"margin_type": "crossed"}, view(margin_type="isolated", leverage=3), "crossed, leverage 10, buy"),
    ("buy", {}, view(margin_type="isolated"), "buy"),
    ("sell", {"margin_type": "isolated"}, view(OURS_LONG, margin_type="crossed"), "exit long, isolated, sell"),
    ("buy", {}, view(brackets=LOW), ": leverage_not_allowed"),
    ("buy", {"leverage": 5}, view(brackets=LOW), "leverage 5, buy"),
    ("buy", {"leverage": 5, "margin_usd": Decimal(1001)}, view(brackets=LOW), ": position_too_large"),
    ("buy", {"leverage_policy": "clamp"}, view(brackets=LOW), "leverage 5, buy"),
    ("buy", {"leverage_policy": "clamp", "margin_usd": Decimal(2000)}, view(brackets=LOW), "leverage 4, buy"),
    # what is held on the entry's side counts, but for what a reversal closes
    ("buy", {"leverage": 5}, view(by_hand="0.046", brackets=LOW), ": position_too_large"),
    ("sell", {"leverage": 5}, view(HUGE, brackets=LOW), "exit long, leverage 5, sell"),
    ("sell", {"leverage": 5}, view(hedge=True, by_hand="0.046", brackets=LOW), "leverage 5, sell"),
    # a price at the edge leaves no room for a stop-loss
    ("buy", {}, view(rules=replace(RULES, price_min=Decimal(100_000))), ": protection_impossible"),
    ("buy", {"stop_loss_pct": None}, view(rules=replace(RULES, price_min=Decimal(100_000))), "buy"),
    # sizes
    ("buy", {"margin_usd": Decimal(1)}, view(), ": below_minimum"),
    ("buy", {"margin_usd": Decimal(10_000_000)}, view(), ": above_maximum"),
    ("sell", {"margin_usd": Decimal(1)}, view(OURS_LONG), "exit long: below_minimum"),
]


@pytest.mark.parametrize(("action", "config", "account", "expected"), ENTRIES)
def test_an_entry_is_planned(action: str, config: dict[str, Any], account: AccountView, expected: str) -> None:
    assert words(plan(signal(Action(action)), job(**config), account)) == expected


STATUSES: dict[str, list[tuple[dict[str, Any], AccountView]]] = {
    "failed": [
        ({}, view(brackets=LOW)),
        ({"leverage": 5, "margin_usd": Decimal(1001)}, view(brackets=LOW)),
        ({"margin_usd": Decimal(10_000_000)}, view()),
        ({}, view(rules=replace(RULES, price_min=Decimal(100_000)))),
    ],
    "skipped": [({}, view(OURS_LONG)), ({}, view(by_hand="-1")), ({"margin_usd": Decimal(1)}, view())],
}


@pytest.mark.parametrize(
    ("status", "config", "account"), [(status, *case) for status, cases in STATUSES.items() for case in cases]
)
def test_what_somebody_must_change_is_a_failure_and_what_a_rule_forbids_is_skipped(
    status: str, config: dict[str, Any], account: AccountView
) -> None:
    planned = plan(signal(Action.BUY), job(**config), account)
    assert planned.failure is not None
    assert planned.failure.status == status


# Every cell of what may be held, in which mode, under which policies. The first row that fits decides what a `buy`
# does; `sell` is its mirror image. `other` is another subscription's position on either side; "" is any.
#   ours     by hand  other  mode       on_opposite  entries  when held  -> buy
BUYS = [
    ("short", "", "", "", "ignore", "", "", ": opposite_position_open"),
    ("short", "", "", "", "close", "", "", "exit short"),
    ("short", "", "other", "", "", "", "", "exit short: symbol_in_use"),
    ("short", "short", "", "one-way", "", "", "", "exit short: symbol_in_use"),
    ("short", "long", "", "", "", "", "skip", "exit short: symbol_in_use"),
    ("short", "", "", "", "", "", "", "exit short, buy"),
    ("long", "", "", "", "", "1", "", ": position_already_open"),
    ("", "", "other", "", "", "", "", ": symbol_in_use"),
    ("", "short", "", "one-way", "", "", "", ": symbol_in_use"),
    ("", "long", "", "", "", "", "skip", ": symbol_in_use"),
    ("", "", "", "", "", "", "", "buy"),
]
CELLS = list(
    product(
        ("flat", "long", "short"),
        ("flat", "long", "short"),
        ("", "other long", "other short"),
        ("one-way", "hedge"),
        ("reverse", "close", "ignore"),
        ("1", "2"),
        ("share", "skip"),
    )
)
MIRROR = {"long": "short", "short": "long", "buy": "sell"}


def mirrored(text: str) -> str:
    return re.sub(r"long|short|buy", lambda word: MIRROR[word[0]], text)


def account_of(ours: str, by_hand: str, other: str, mode: str) -> AccountView:
    def held(direction: str) -> Position:
        side: PositionSide = "BOTH" if mode == "one-way" else ("LONG" if direction == "long" else "SHORT")
        return position("long" if direction == "long" else "short", side=side)

    own = () if ours == "flat" else (held(ours),)
    others = () if not other else (held(other.removeprefix("other ")),)
    return view(
        *own, others=others, hedge=mode == "hedge", by_hand={"flat": "0", "long": "0.003", "short": "-0.003"}[by_hand]
    )


def test_a_buy_does_in_every_cell_what_the_first_fitting_row_says_and_a_sell_the_mirror_image() -> None:
    used = set()
    for ours, by_hand, other, mode, on_opposite, entries, when_held in CELLS:
        asked = {"on_opposite": on_opposite, "max_entries_per_symbol": int(entries), "when_symbol_held": when_held}
        cell = (ours, by_hand, other, mode, on_opposite, entries, when_held)
        row = next(row for row in BUYS if all(is_.startswith(said) for said, is_ in zip(row, cell, strict=False)))
        used.add(row)
        done = words(plan(signal(Action.BUY), job(**asked), account_of(ours, by_hand, other, mode)))
        assert done == row[-1], cell
        mirror = account_of(mirrored(ours), mirrored(by_hand), mirrored(other), mode)
        done = words(plan(signal(Action.SELL), job(**asked), mirror))
        assert done == mirrored(row[-1]), cell
    assert used == set(BUYS)


def test_a_close_closes_in_every_cell_our_own_position_and_nothing_else() -> None:
    for ours, by_hand, other, mode, on_opposite, entries, when_held in CELLS:
        asked = {"on_opposite": on_opposite, "max_entries_per_symbol": int(entries), "when_symbol_held": when_held}
        account = account_of(ours, by_hand, other, mode)
        for action in (Action.CLOSE, Action.CLOSE_ALL):
            done = words(plan(signal(action), job(**asked), account))
            assert done == (": nothing_to_close" if ours == "flat" else f"exit {ours}")


CLOSES = [
    ("close", "BTCUSDT", view(), ": nothing_to_close"),
    ("close", "BTCUSDT", view(OURS_LONG), "exit long"),
    ("close", "BTCUSDT", view(OURS_SHORT, ETH), "exit short"),
    ("close", "BTCUSDT", view(ETH), ": nothing_to_close"),
    ("close", "BTCUSDT", view(others=(OURS_LONG,)), ": nothing_to_close"),
    ("close", "BTCUSDT", view(by_hand="1"), ": nothing_to_close"),
    ("close_all", None, view(), ": nothing_to_close"),
    ("close_all", None, view(OURS_SHORT, ETH), "exit short, exit long"),
    ("close_all", "BTCUSDT", view(OURS_SHORT, ETH), "exit short, exit long"),
    ("close_all", None, view(others=(OURS_LONG, ETH)), ": nothing_to_close"),
]


@pytest.mark.parametrize(("action", "symbol", "account", "expected"), CLOSES)
def test_a_close_is_planned(action: str, symbol: str | None, account: AccountView, expected: str) -> None:
    assert words(plan(signal(Action(action), symbol), job(), account)) == expected


@pytest.mark.parametrize(
    ("action", "hedge", "side", "position_side"),
    [
        ("buy", False, "BUY", "BOTH"),
        ("sell", False, "SELL", "BOTH"),
        ("buy", True, "BUY", "LONG"),
        ("sell", True, "SELL", "SHORT"),
    ],
)
def test_an_entry_suits_the_accounts_position_mode(action: str, hedge: bool, side: str, position_side: str) -> None:
    [order] = plan(signal(Action(action)), job(), view(hedge=hedge)).steps
    assert isinstance(order, MarketOrder)
    assert (order.purpose, order.side, order.position_side) == (Purpose.ENTRY, side, position_side)
    assert (order.quantity, order.reduce_only) == (QUANTITY, False)


positions = st.builds(
    position,
    st.sampled_from(("long", "short")),
    st.sampled_from(("BTCUSDT", "ETHUSDT")),
    st.sampled_from(("BOTH", "LONG", "SHORT")),
    st.integers(1, 100).map(lambda n: Decimal(n) / 1000),
)


@given(
    st.sampled_from(Action),
    st.sampled_from(("reverse", "close", "ignore")),
    st.lists(positions, max_size=4),
    st.lists(positions, max_size=3),
    st.integers(-10, 10),
    st.booleans(),
)
def test_exits_close_our_own_quantity_and_come_before_the_one_entry(
    action: Action, on_opposite: str, own: list[Position], others: list[Position], by_hand: int, hedge: bool
) -> None:
    account = view(*own, others=tuple(others), by_hand=str(by_hand), hedge=hedge)
    steps = plan(signal(action), job(on_opposite=on_opposite), account).steps
    orders = [step for step in steps if isinstance(step, MarketOrder)]
    exits = [order for order in orders if order.purpose is Purpose.EXIT]
    assert orders[: len(exits)] == exits
    assert len(orders) - len(exits) <= action.is_entry
    for order in exits:
        assert order.position in own
        assert order.position is not None
        assert order.quantity == order.position.quantity
        assert order.position_side == order.position.position_side
        assert order.side == ("SELL" if order.position.direction == "long" else "BUY")
        assert (order.reduce_only, order.close_reason) == (True, CloseReason.SIGNAL)
