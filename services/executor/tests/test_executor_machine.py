"""The machine's tables row by row, and what holds for every sequence of observations."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.executor.machine import decide
from services.executor.orders import (
    AccountView,
    CancelProtection,
    MarketOrder,
    Order,
    Position,
    PositionSide,
    Protection,
    Purpose,
    SetLeverage,
    Settle,
    Step,
    SymbolRules,
)
from services.executor.state import (
    Absent,
    Closed,
    Decision,
    Do,
    Done,
    End,
    Find,
    FindProtection,
    Finished,
    NotStanding,
    Observation,
    Opened,
    Phase,
    Place,
    Prepare,
    Prepared,
    Protect,
    Refused,
    Seen,
    Settled,
    Sleep,
    Standing,
    State,
    StillOpen,
    Uncertain,
    Unsent,
    Woke,
    Work,
)
from services.executor.timing import Timing
from shared.clock import from_ms
from shared.contracts import Action, CloseReason, Job, Signal, TradeConfig

NOW = 1_800_000_000_000
TIMING = Timing()
CLOSED_AT = NOW + TIMING.recv_window_ms + TIMING.lag_margin_ms
RULES = SymbolRules("BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(100), Decimal(50))
QUANTITY, PRICE = Decimal("0.010"), Decimal(100_000)
FILLED = Order("77", "FILLED", QUANTITY, PRICE, NOW + 5)
PARTLY = replace(FILLED, status="EXPIRED", executed_quantity=Decimal("0.004"))
UNFILLED = replace(FILLED, status="EXPIRED", executed_quantity=Decimal(0))
WORKING = replace(FILLED, status="NEW", executed_quantity=Decimal(0), average_price=None)
HELD = Position(UUID(int=9), "BTCUSDT", "long", "BOTH", QUANTITY, PRICE, "1", NOW, "held-stop", "2", Decimal(98_000))
POOR = Refused(-2019, "insufficient_margin", "no money")
FULL = Refused(-4045, "too_many_orders", "too many")
FLAT = Refused(-2022, "refused", "ReduceOnly Order is rejected.")
TAKEN = Refused(-4116, "refused", "ClientOrderId is duplicated.")
NOT_YET = Refused(-4509, "refused", "no position yet")
THROUGH = Refused(-2021, "refused", "Order would immediately trigger.")
MODE = Refused(-4061, "account_mode", "position side")
SOLD = Settled(CloseReason.SIGNAL, PRICE, Decimal(1))


def work_of(action: Action = Action.BUY, **config: Any) -> Work:
    defaults: dict[str, Any] = {
        "market_type": "futures",
        "leverage": 10,
        "margin_usd": Decimal(100),
        "stop_loss_pct": Decimal(2),
        "take_profit_pct": Decimal(4),
        "max_daily_loss_usd": None,
        "max_concurrent_positions": None,
        "on_opposite": "reverse",
        "max_entries_per_symbol": 1,
    }
    signal = Signal(
        signal_id=UUID(int=1),
        bot_id=UUID(int=2),
        action=action,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=None,
        source_ip="127.0.0.1",
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        body_digest="",
    )
    job = Job(
        execution_id=UUID(int=3),
        subscription_id=UUID(int=4),
        user_id=UUID(int=5),
        exchange_account_id=UUID(int=6),
        environment="paper",
        sealed_credentials="",
        sequence=1,
        config=TradeConfig(**defaults | config),
        expires_at=from_ms(NOW + 60_000) if action.is_entry else None,
    )
    return Work(signal, job)


def view(*own: Position, leverage: int = 10, by_hand: Decimal = Decimal(0), hedge: bool = False) -> Prepared:
    sides: tuple[PositionSide, ...] = ("LONG", "SHORT") if hedge else ("BOTH",)
    held = tuple(
        ("BTCUSDT", side, by_hand + sum((p.signed for p in own if p.position_side == side), Decimal(0)))
        for side in sides
    )
    return Prepared(AccountView(hedge, RULES, PRICE, leverage, held, own, ()))


class Execution:
    """One execution, told one observation after another."""

    def __init__(self, work: Work | None = None) -> None:
        self.work = work or work_of()
        self.state = State()
        self.facts: list[Any] = []
        self.effect: Any = None
        self.now_ms = NOW

    def sees(self, *observations: Observation, at_ms: int | None = None) -> "Execution":
        self.now_ms = at_ms or self.now_ms
        for seen in observations:
            decision = decide(self.work, self.state, seen, self.now_ms, TIMING)
            self.state, self.effect = decision.state, decision.effect
            self.facts += decision.facts
        return self

    @property
    def ended(self) -> tuple[str, str | None]:
        finished = [fact for fact in self.facts if isinstance(fact, Finished)]
        assert (len(finished), self.state.phase, self.effect) == (1, Phase.DONE, End())
        failure = finished[0].trade.failure
        return (failure.status, failure.code) if failure else ("success", None)

    def name(self) -> str:
        """The leg of the request under way, `e1` of `tc-…-e1`."""
        assert self.state.intent is not None
        return self.state.intent.client_id.rsplit("-", 1)[1]


def preparing() -> Execution:
    return Execution().sees(Woke())


def entering(**config: Any) -> Execution:
    return Execution(work_of(**config)).sees(Woke(), view())


def exiting() -> Execution:
    return Execution(work_of(Action.CLOSE)).sees(Woke(), view(HELD))


def verifying(execution: Execution) -> Execution:
    return execution.sees(Uncertain("no answer"))


def stopping() -> Execution:
    """The entry is filled and its stop-loss under way."""
    return entering().sees(Seen(FILLED))


def unwinding() -> Execution:
    return stopping().sees(THROUGH)


# --- Preparing ---


def test_a_new_execution_reads_the_account() -> None:
    assert (preparing().effect, preparing().state.phase) == (Prepare(), Phase.PREPARING)


def test_an_account_that_was_read_is_traded_on() -> None:
    entry = entering()
    assert isinstance(entry.effect, Place)
    assert (entry.effect.order.purpose, entry.effect.order.quantity, entry.name()) == (Purpose.ENTRY, QUANTITY, "e1")
    assert entry.effect.intent.stamp_ms == NOW


def test_an_account_that_cannot_be_read_now_is_read_afresh_later() -> None:
    waiting = preparing().sees(Unsent("throttled", 60_000))
    assert waiting.effect == Sleep(NOW + 60_000)
    assert waiting.sees(Woke(), at_ms=NOW + 60_000 - 1).effect == Prepare(afresh=True)
    assert preparing().sees(Uncertain("")).effect == Sleep(NOW + 200)


def test_an_account_that_refuses_to_be_read_is_not_traded_on() -> None:
    assert preparing().sees(Refused(-2015, "key_rejected", "")).ended == ("failed", "key_rejected")


def test_an_entry_whose_turn_comes_too_late_is_skipped() -> None:
    assert Execution().sees(Woke(), at_ms=NOW + 60_000).ended == ("skipped", "expired")
    assert preparing().sees(view(), at_ms=NOW + 60_000).ended == ("skipped", "expired")


def test_an_exit_never_comes_too_late() -> None:
    late = Execution(work_of(Action.CLOSE)).sees(Woke(), view(HELD), at_ms=NOW + 10**9)
    assert isinstance(late.effect, Place)


def test_what_the_plan_skips_ends_as_skipped() -> None:
    assert Execution(work_of(Action.CLOSE)).sees(Woke(), view()).ended == ("skipped", "nothing_to_close")


def test_a_changed_position_mode_is_read_once_and_planned_for_again() -> None:
    again = entering().sees(MODE)
    assert again.effect == Prepare(afresh=True)
    again.sees(view(hedge=True))
    assert (again.effect.order.position_side, again.name()) == ("LONG", "e2")
    assert again.sees(MODE).ended == ("failed", "account_mode")


# --- The leverage ---


def leveraging() -> Execution:
    return Execution().sees(Woke(), view(leverage=3))


def test_another_leverage_is_set_before_the_entry() -> None:
    assert leveraging().effect == Do(SetLeverage("BTCUSDT", 10))
    assert isinstance(leveraging().sees(Done()).effect, Place)


def test_a_leverage_without_an_answer_is_set_again_and_given_up_after_three_times() -> None:
    execution = leveraging()
    for _ in range(2):
        assert isinstance(execution.sees(Uncertain("")).effect, Sleep)
        assert execution.sees(Woke()).effect == Do(SetLeverage("BTCUSDT", 10))
    assert execution.sees(Unsent("")).ended == ("failed", "exchange_unavailable")


def test_a_leverage_that_is_refused_means_no_entry() -> None:
    assert leveraging().sees(Refused(-4028, "leverage_not_allowed", "")).ended == ("failed", "leverage_not_allowed")


# --- Placing, the request under way ---


def test_a_filled_entry_is_protected() -> None:
    execution = stopping()
    assert isinstance(execution.effect, Protect)
    stop = execution.effect.protection
    assert (stop.reason, stop.side, stop.trigger, stop.quantity) == (
        CloseReason.STOP_LOSS,
        "SELL",
        Decimal(98_000),
        None,
    )
    assert execution.sees(Standing("s")).effect.protection.trigger == 104_000
    assert execution.sees(Standing("t")).ended == ("success", None)
    [opened] = [fact for fact in execution.facts if isinstance(fact, Opened)]
    assert (opened.position.stop_order_id, opened.position.target_order_id) == ("s", "t")


def test_a_partly_filled_entry_is_a_smaller_position() -> None:
    execution = entering(max_entries_per_symbol=2).sees(Seen(PARTLY))
    assert execution.effect.protection.quantity == PARTLY.executed_quantity


def test_an_entry_still_working_is_asked_about_shortly() -> None:
    execution = entering().sees(Seen(WORKING))
    assert (execution.effect, execution.state.phase) == (Sleep(NOW + 500), Phase.VERIFYING)
    assert isinstance(execution.sees(Woke(), Seen(FILLED)).effect, Protect)


def test_an_entry_that_ends_unfilled_is_recorded_as_such() -> None:
    assert entering().sees(Seen(UNFILLED)).ended == ("failed", "not_filled")


def test_a_refused_entry_is_recorded_as_such() -> None:
    assert entering().sees(POOR).ended == ("failed", "insufficient_margin")


def test_an_entry_that_was_not_sent_gets_a_new_attempt_under_a_new_name_five_at_most() -> None:
    execution = entering()
    for attempt in range(2, 6):
        assert isinstance(execution.sees(Unsent("throttled")).effect, Sleep)
        execution.sees(Woke())
        assert isinstance(execution.effect, Place)
        assert execution.name() == f"e{attempt}"
    assert execution.sees(Unsent("throttled")).ended == ("failed", "exchange_unavailable")


def test_a_new_attempt_is_for_a_fresh_signal_only() -> None:
    late = entering().sees(Unsent("throttled", 60_000)).sees(Woke(), at_ms=NOW + 60_000)
    assert late.ended == ("skipped", "expired")
    assert entering().sees(Unsent(""), at_ms=NOW + 60_000).ended == ("failed", "exchange_unavailable")


@pytest.mark.parametrize("seen", [Uncertain("no answer"), Woke(), TAKEN])
def test_a_request_that_may_have_been_carried_out_is_asked_about(seen: Observation) -> None:
    execution = entering()
    name = execution.effect.intent.client_id
    asked = execution.sees(seen).effect
    assert (asked.symbol, asked.client_id) == ("BTCUSDT", name)
    assert not asked.grown.by(Decimal(0))
    assert asked.grown.by(asked.grown.entry.quantity)
    assert execution.state.phase is Phase.VERIFYING


# --- Placing, asking what became of it ---


def test_what_is_found_is_adopted() -> None:
    assert isinstance(verifying(entering()).sees(Seen(FILLED)).effect, Protect)


def test_absence_asked_too_early_means_nothing() -> None:
    execution = verifying(entering())
    execution.sees(Absent(CLOSED_AT), Absent(CLOSED_AT), Absent(CLOSED_AT), at_ms=CLOSED_AT + 60_000)
    assert isinstance(execution.effect, Sleep)
    assert (execution.state.phase, execution.state.absent) == (Phase.VERIFYING, 0)


def test_absence_asked_in_time_is_believed_the_second_time() -> None:
    execution = verifying(entering()).sees(Absent(CLOSED_AT + 1), at_ms=CLOSED_AT + 1)
    assert execution.effect == Sleep(CLOSED_AT + 501)
    assert execution.sees(Woke(), Absent(CLOSED_AT + 501)).ended == ("failed", "not_placed")


def test_an_order_found_between_two_absences_is_adopted() -> None:
    execution = verifying(entering()).sees(Absent(CLOSED_AT + 1), Woke(), Seen(FILLED))
    assert isinstance(execution.effect, Protect)


def test_an_order_that_the_exchange_has_acknowledged_is_never_said_not_to_have_arrived() -> None:
    execution = entering().sees(Seen(WORKING), Woke())
    execution.sees(Absent(CLOSED_AT + 1), Woke(), Absent(CLOSED_AT + 501), Woke(), at_ms=CLOSED_AT + 1_000)
    assert isinstance(execution.effect, Find)
    assert isinstance(execution.sees(Seen(FILLED)).effect, Protect)


def test_an_exit_that_never_arrived_gets_a_new_attempt() -> None:
    execution = verifying(exiting()).sees(Absent(CLOSED_AT + 1), Woke(), Absent(CLOSED_AT + 501), at_ms=CLOSED_AT + 501)
    assert isinstance(execution.effect, Place)
    assert (execution.name(), execution.effect.intent.stamp_ms) == ("x2", CLOSED_AT + 501)


@pytest.mark.parametrize("seen", [Uncertain(""), Unsent(""), POOR, Done(), NotStanding()])
def test_anything_else_is_asked_again_and_after_a_quarter_of_an_hour_a_person_is_needed(seen: Observation) -> None:
    execution = verifying(entering()).sees(seen)
    assert (execution.effect, execution.state.phase) == (Sleep(NOW + 500), Phase.VERIFYING)
    assert isinstance(execution.sees(Woke()).effect, Find)
    later = NOW + TIMING.attention_after_ms + 1
    assert execution.sees(seen, at_ms=later).state.phase is Phase.NEEDS_ATTENTION
    assert execution.effect == Sleep(later + TIMING.attention_every_ms)
    assert isinstance(execution.sees(Woke()).effect, Find)
    assert isinstance(execution.sees(Seen(FILLED)).effect, Protect)


# --- Placing, asking at what price ---


UNPRICED = replace(FILLED, average_price=None)


def test_a_fill_without_a_price_is_asked_for_it() -> None:
    execution = entering().sees(Seen(UNPRICED))
    assert (execution.state.phase, type(execution.effect)) == (Phase.PRICING, Find)
    assert execution.sees(Seen(FILLED)).effect.protection.trigger == 98_000


def test_without_a_price_after_six_times_the_stop_is_reckoned_from_the_price_read_before() -> None:
    again: list[Observation] = [Uncertain(""), Woke(), Seen(UNPRICED), Woke()]
    execution = entering().sees(Seen(UNPRICED), *again, *again, Uncertain(""), Woke())
    assert execution.sees(Absent(NOW)).effect.protection.trigger == 98_000


def test_a_throttled_price_is_not_waited_for() -> None:
    execution = entering().sees(Seen(UNPRICED), Unsent("", 30_000))
    assert execution.effect.protection.trigger == 98_000
    assert (execution.state.trade.price, execution.state.trade.order) == (None, UNPRICED)


def test_an_answer_that_lags_behind_the_fill_does_not_make_it_smaller() -> None:
    lagging = replace(FILLED, status="PARTIALLY_FILLED", executed_quantity=Decimal("0.001"))
    execution = entering().sees(Seen(UNPRICED), Seen(lagging))
    assert isinstance(execution.effect, Sleep)
    execution.sees(Woke(), Seen(FILLED))
    assert execution.state.trade.order == FILLED


# --- Placing exits and unwinds ---


def test_a_filled_exit_takes_its_protections_away_and_is_settled() -> None:
    execution = exiting()
    assert (execution.effect.order.side, execution.effect.order.reduce_only) == ("SELL", True)
    execution.sees(Seen(FILLED))
    assert execution.effect == Do(CancelProtection("BTCUSDT", "held-stop"))
    assert execution.sees(Done()).effect == Do(Settle(HELD, ("77",), CloseReason.SIGNAL))
    assert execution.sees(SOLD).ended == ("success", None)
    assert Closed(HELD, SOLD) in execution.facts


def test_a_partly_filled_exit_goes_on_with_the_remainder() -> None:
    execution = exiting().sees(Seen(PARTLY))
    order = execution.effect.order
    assert (order.quantity, order.earlier_order_ids, execution.name()) == (Decimal("0.006"), ("77",), "x2")
    execution.sees(Seen(replace(FILLED, order_id="78", executed_quantity=Decimal("0.006"))), Done())
    assert execution.effect == Do(Settle(HELD, ("77", "78"), CloseReason.SIGNAL))


@pytest.mark.parametrize("seen", [Unsent("throttled"), Seen(UNFILLED)])
def test_an_exit_that_came_to_nothing_is_tried_again(seen: Observation) -> None:
    execution = exiting().sees(seen)
    assert isinstance(execution.effect, Sleep)
    execution.sees(Woke())
    assert execution.name() == "x2"


def test_an_exit_with_nothing_to_reduce_looks_before_it_believes_it() -> None:
    execution = exiting().sees(FLAT)
    assert execution.effect == Do(Settle(HELD, (), CloseReason.SIGNAL))
    assert execution.sees(SOLD).ended == ("success", None)
    again = exiting().sees(FLAT, StillOpen())
    assert (again.effect.order.quantity, again.name()) == (QUANTITY, "x2")


def test_the_remainder_of_an_exit_that_is_refused_is_looked_at_and_not_believed_closed() -> None:
    execution = exiting().sees(Seen(PARTLY), FLAT)
    step = execution.effect.step
    assert (step.exit_order_ids, step.position.id) == ((), HELD.id)
    execution.sees(StillOpen())
    assert execution.effect.order.quantity == Decimal("0.006")


def test_a_position_that_will_not_close_is_said_to_be_open() -> None:
    execution = exiting()
    for _ in range(4):
        execution.sees(FLAT, StillOpen())
        assert isinstance(execution.effect, Place)
    assert execution.sees(FLAT, StillOpen()).ended == ("failed", "close_refused")
    assert not any(isinstance(fact, Closed) for fact in execution.facts)


def test_an_exit_refused_five_times_is_given_up_and_nothing_is_opened() -> None:
    execution = Execution(work_of(Action.SELL)).sees(Woke(), view(HELD))
    for _ in range(4):
        assert isinstance(execution.sees(POOR).effect, Sleep)
        execution.sees(Woke())
    assert execution.sees(POOR).ended == ("failed", "insufficient_margin")


def test_an_unwind_is_never_given_up() -> None:
    execution = unwinding()
    for attempt in range(3, 30):
        execution.sees(POOR, Woke())
        assert isinstance(execution.effect, Place)
        assert execution.name() == f"u{attempt}"


def test_an_unwind_with_nothing_to_reduce_goes_on_while_the_position_stands() -> None:
    execution = unwinding()
    for attempt in range(3, 30):
        assert isinstance(execution.sees(FLAT, StillOpen()).effect, Sleep)
        execution.sees(Woke())
        assert (execution.effect.order.purpose, execution.name()) == (Purpose.UNWIND, f"u{attempt}")
    execution.sees(FLAT, Settled(CloseReason.EXTERNAL, None, None), Done())
    assert execution.ended == ("failed", "unprotected_closed")


# --- Protecting ---


@pytest.mark.parametrize("seen", [TAKEN, Refused(-4130, "refused", ""), Uncertain(""), Woke()])
def test_a_stop_that_may_stand_is_looked_for(seen: Observation) -> None:
    execution = stopping()
    name = execution.effect.protection.client_id
    assert execution.sees(seen).effect == FindProtection("BTCUSDT", name)
    assert execution.sees(Standing("s")).effect.protection.reason is CloseReason.TAKE_PROFIT


def test_a_stop_that_is_through_already_closes_the_position_at_market() -> None:
    execution = unwinding()
    order = execution.effect.order
    assert (order.purpose, order.side, order.quantity, order.close_reason) == ("unwind", "SELL", QUANTITY, "unwound")
    assert any(isinstance(fact, Opened) for fact in execution.facts)
    execution.sees(Seen(FILLED))
    assert execution.effect.step.client_id.endswith("-s1"), "unanswered, it may stand after all"
    execution.sees(Done(), Settled(CloseReason.UNWOUND, PRICE, Decimal(-1)))
    assert execution.ended == ("failed", "unprotected_closed")


def test_a_target_that_is_through_already_takes_the_profit_at_market() -> None:
    execution = stopping().sees(Standing("s"), THROUGH)
    assert execution.effect.order.close_reason is CloseReason.TAKE_PROFIT
    execution.sees(Seen(FILLED), Done(), Done(), Settled(CloseReason.TAKE_PROFIT, PRICE, Decimal(1)))
    assert execution.ended == ("success", None)


def test_a_stop_is_sent_again_while_binance_lags_behind_its_own_fill() -> None:
    execution = stopping()
    for _ in range(7):
        assert execution.sees(NOT_YET).effect == Sleep(NOW + 300)
        assert execution.sees(Woke()).effect.protection.client_id.endswith("-s1")
    assert isinstance(execution.sees(Standing("s")).effect, Protect)


@pytest.mark.parametrize("seen", [FULL, Unsent("throttled")])
def test_a_stop_that_is_not_taken_is_sent_again_under_the_same_name(seen: Observation) -> None:
    execution = stopping().sees(seen)
    assert isinstance(execution.effect, Sleep)
    assert execution.sees(Woke()).effect.protection.client_id.endswith("-s1")


def test_a_stop_that_is_not_found_is_sent_again_and_then_bound_to_the_quantity() -> None:
    execution = stopping().sees(Uncertain(""), NotStanding())
    assert (execution.effect.protection.quantity, execution.name()) == (None, "s1")
    execution.sees(TAKEN, NotStanding())
    assert (execution.effect.protection.quantity, execution.name()) == (QUANTITY, "s2")


def test_a_stop_refused_three_times_closes_the_position() -> None:
    execution = stopping().sees(FULL, Woke(), FULL, Woke(), FULL)
    assert execution.effect.order.purpose is Purpose.UNWIND
    assert execution.state.trade.failure is not None
    assert (execution.state.trade.failure.code, execution.state.trade.failure.exchange_code) == (
        "unprotected_closed",
        -4045,
    )


def test_a_stop_tried_for_too_long_closes_the_position() -> None:
    execution = stopping()
    for _ in range(3):
        execution.sees(Unsent(""), Woke())
    late = NOW + TIMING.naked_max_ms + 6
    assert execution.sees(Unsent(""), at_ms=late).effect.order.purpose is Purpose.UNWIND


def test_a_stop_tried_too_often_closes_the_position() -> None:
    execution = stopping()
    for _ in range(8):
        execution.sees(NOT_YET, Woke())
    assert execution.sees(NOT_YET).effect.order.purpose is Purpose.UNWIND


def test_a_target_that_cannot_be_had_leaves_the_position_protected_and_says_so() -> None:
    execution = stopping().sees(Standing("s"), FULL, Woke(), FULL, Woke(), FULL)
    assert execution.ended == ("failed", "take_profit_missing")
    [opened] = [fact for fact in execution.facts if isinstance(fact, Opened)]
    assert (opened.position.stop_order_id, opened.position.target_order_id) == ("s", None)


def test_naked_time_is_from_the_fill_to_the_stop() -> None:
    assert stopping().sees(Standing("s"), at_ms=NOW + 305).state.trade.naked_ms == 300


# --- Tidying ---


@pytest.mark.parametrize("seen", [Done(), Refused(-2011, "refused", "Unknown order sent.")])
def test_a_protection_that_is_gone_is_as_good_as_cancelled(seen: Observation) -> None:
    assert isinstance(exiting().sees(Seen(FILLED), seen).effect.step, Settle)


def test_a_protection_that_cannot_be_cancelled_is_left_after_some_minutes() -> None:
    again: list[Observation] = [Unsent(""), Woke()]
    execution = exiting().sees(Seen(FILLED), *again * 11)
    assert isinstance(execution.effect, Do)
    assert isinstance(execution.effect.step, CancelProtection)
    execution = execution.sees(Unsent(""))
    assert isinstance(execution.effect.step, Settle)


def test_what_a_close_earned_is_left_open_when_it_cannot_be_read() -> None:
    execution = exiting().sees(Seen(FILLED), Done(), Uncertain(""), Woke(), Uncertain(""), Woke(), Uncertain(""))
    assert execution.ended == ("success", None)
    assert Closed(HELD, Settled(CloseReason.SIGNAL, None, None)) in execution.facts


def test_whether_a_position_is_closed_is_asked_until_it_is_known() -> None:
    execution = exiting().sees(FLAT)
    for _ in range(20):
        execution.sees(Uncertain(""), Woke())
        assert isinstance(execution.effect, Do)
    assert execution.sees(SOLD).ended == ("success", None)


def test_an_effect_that_was_under_way_in_a_crash_is_repeated() -> None:
    execution = exiting().sees(Seen(FILLED))
    assert execution.effect == execution.sees(Woke()).effect


# --- Every sequence of observations ---

PRICES = st.sampled_from([None, PRICE, Decimal("95234.50")])
ORDERS = st.builds(
    Order,
    st.sampled_from(["77", "78"]),
    st.sampled_from(["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "PENDING"]),
    st.sampled_from([Decimal(0), Decimal("0.004"), QUANTITY]),
    PRICES,
    st.integers(NOW, NOW + 1_000),
)
SHORT = replace(HELD, direction="short", id=UUID(int=10))
ETH = replace(HELD, symbol="ETHUSDT", id=UUID(int=11), stop_client_id=None)
VIEWS = st.builds(
    view,
    st.sampled_from([HELD, SHORT, ETH]),
    leverage=st.sampled_from([3, 10]),
    by_hand=st.sampled_from([Decimal(0), Decimal(1), Decimal(-1)]),
    hedge=st.booleans(),
) | st.builds(view, leverage=st.sampled_from([3, 10]), hedge=st.booleans())
CODES = st.sampled_from([-2019, -2021, -2022, -4045, -4061, -4116, -4130, -4509, None])
OBSERVATIONS: st.SearchStrategy[Observation] = st.one_of(
    st.just(Woke()),
    VIEWS,
    st.builds(Seen, ORDERS),
    st.builds(Absent, st.integers(NOW, NOW + 100_000)),
    st.sampled_from([Standing("s"), NotStanding(), Done(), StillOpen(), SOLD, Uncertain("")]),
    st.builds(Refused, CODES, st.just("refused"), st.just("")),
    st.builds(Unsent, st.just(""), st.sampled_from([0, 60_000])),
)
# what the effect can be answered with, so that sequences also get far
ANSWERS: dict[type, st.SearchStrategy[Observation]] = {
    Prepare: VIEWS,
    Place: st.builds(Seen, ORDERS) | st.sampled_from([Uncertain(""), Unsent(""), FLAT]),
    Find: st.builds(Seen, ORDERS) | st.builds(Absent, st.integers(NOW, NOW + 100_000)),
    Protect: st.sampled_from([Standing("s"), NOT_YET, FULL, Uncertain(""), THROUGH]),
    FindProtection: st.sampled_from([Standing("s"), NotStanding()]),
    Do: st.sampled_from([Done(), SOLD, StillOpen(), Uncertain("")]),
    Sleep: st.just(Woke()),
    End: st.just(Woke()),
}
WORKS = st.builds(
    work_of,
    st.sampled_from(Action),
    stop_loss_pct=st.sampled_from([None, Decimal(2)]),
    take_profit_pct=st.sampled_from([None, Decimal(4)]),
    max_entries_per_symbol=st.sampled_from([1, 2]),
    on_opposite=st.sampled_from(["reverse", "close", "ignore"]),
)
STATE = TypeAdapter(State)


def lived(data: st.DataObject, work: Work) -> Iterable[tuple[State, Observation, Decision]]:
    """An execution's life under arbitrary observations, most of them answers to what it did."""
    state, now_ms = State(), NOW
    answers: st.SearchStrategy[Observation] = st.just(Woke())
    for _ in range(data.draw(st.integers(1, 40))):
        seen = data.draw(answers | answers | OBSERVATIONS)
        now_ms += data.draw(st.sampled_from([0, 1, 300, 8_000, 61_000]))
        decision = decide(work, state, seen, now_ms, TIMING)
        yield state, seen, decision
        state, answers = decision.state, ANSWERS[type(decision.effect)]


@settings(max_examples=300, deadline=None)
@given(st.data(), WORKS)
def test_every_observation_in_every_state_is_decided(data: st.DataObject, work: Work) -> None:
    finished: list[Finished] = []
    placed: list[Place] = []
    unsure: set[str] = set()
    for before, seen, decision in lived(data, work):
        state, effect = decision.state, decision.effect
        # what the database keeps is what was decided
        assert STATE.validate_json(STATE.dump_json(state)) == state
        # P1
        assert decision.must_be_stored or not isinstance(effect, Place | Protect)
        if isinstance(effect, Place | Protect):
            assert state.intent == effect.intent
        if isinstance(effect, Place):
            placed.append(effect)
        finished += [fact for fact in decision.facts if isinstance(fact, Finished)]
        assert isinstance(effect, End) == (state.phase is Phase.DONE) == bool(finished)
        if before.phase is Phase.DONE:
            assert (state, decision.facts) == (before, ())
        step = before.steps[0] if before.steps else None
        if isinstance(step, MarketOrder) and step.purpose is Purpose.ENTRY and before.intent:
            acting = before.phase is Phase.ACTING
            if isinstance(seen, Woke | Uncertain) and acting:
                unsure.add(before.intent.client_id)
            # P5: after an uncertain entry there is no other
            if unsure and isinstance(effect, Place):
                assert effect.order.purpose is not Purpose.ENTRY
    assert len(finished) <= 1
    assert len(unsure) <= 1
    names = [place.intent.client_id for place in placed]
    assert len(set(names)) == len(names), "a new attempt has a new name"
    assert all(len(name) <= 36 for name in names)
    assert sum(place.order.purpose is Purpose.ENTRY for place in placed) <= 6


STEPS: list[Step] = [
    SetLeverage("BTCUSDT", 10),
    MarketOrder(Purpose.EXIT, "BTCUSDT", "SELL", "BOTH", QUANTITY, HELD, CloseReason.UNWOUND, ("1", "2")),
    MarketOrder(Purpose.ENTRY, "BTCUSDT", "BUY", "LONG", Decimal("1E+2")),
    Protection(CloseReason.STOP_LOSS, "BTCUSDT", "SELL", "BOTH", PRICE, None, "s1"),
    Protection(CloseReason.TAKE_PROFIT, "BTCUSDT", "SELL", "BOTH", PRICE, QUANTITY, "t1"),
    CancelProtection("BTCUSDT", "s1"),
    Settle(HELD, (), CloseReason.SIGNAL),
    Settle(ETH, ("1", "2"), CloseReason.EXTERNAL),
]


def test_every_kind_of_step_survives_the_database() -> None:
    state = State(steps=tuple(STEPS))
    assert STATE.validate_json(STATE.dump_json(state)) == state
    assert [type(step) for step in STATE.validate_json(STATE.dump_json(state)).steps] == [type(s) for s in STEPS]
