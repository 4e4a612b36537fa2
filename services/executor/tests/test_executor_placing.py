"""The placement protocol, a test for each row of its table."""

from dataclasses import replace
from decimal import Decimal

import pytest

from services.executor.orders import (
    CancelProtection,
    Protection,
    Purpose,
    Settle,
)
from services.executor.state import (
    Absent,
    Closed,
    Do,
    Done,
    Find,
    NotStanding,
    Observation,
    Opened,
    Phase,
    Place,
    Protect,
    Seen,
    Settled,
    Sleep,
    Standing,
    StillOpen,
    Woke,
)
from services.executor.tests.machine_builders import (
    CLOSED_AT,
    FILLED,
    FLAT,
    HELD,
    NOW,
    PARTLY,
    POOR,
    QUANTITY,
    SOLD,
    TAKEN,
    TIMING,
    UNFILLED,
    WORKING,
    Execution,
    entering,
    exiting,
    stopping,
    uncertain,
    unsent,
    unwinding,
    verifying,
    view,
    work_of,
)
from shared.contracts import Action, CloseReason

# --- Placing, the request under way ---


def test_a_filled_entry_is_protected() -> None:
    execution = stopping()
    assert isinstance(execution.effect, Protect)
    stop = execution.effect.protection
    assert isinstance(stop, Protection)
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
        assert isinstance(execution.sees(unsent()).effect, Sleep)
        execution.sees(Woke())
        assert isinstance(execution.effect, Place)
        assert execution.name() == f"e{attempt}"
    assert execution.sees(unsent()).ended == ("failed", "exchange_unavailable")


def test_a_new_attempt_is_for_a_fresh_signal_only() -> None:
    late = entering().sees(unsent(60_000)).sees(Woke(), at_ms=NOW + 60_000)
    assert late.ended == ("skipped", "expired")
    assert entering().sees(unsent(), at_ms=NOW + 60_000).ended == ("failed", "exchange_unavailable")


@pytest.mark.parametrize("seen", [uncertain(), Woke(), TAKEN])
def test_a_request_that_may_have_been_carried_out_is_asked_about(seen: Observation) -> None:
    execution = entering()
    name = execution.effect.intent.client_id
    asked = execution.sees(seen).effect
    assert (asked.symbol, asked.client_id) == ("BTCUSDT", name)
    assert not asked.moved.by(Decimal(0))
    assert asked.moved.by(asked.moved.order.quantity)
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


@pytest.mark.parametrize("seen", [uncertain(), unsent(), POOR, Done(), NotStanding()])
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
    again: list[Observation] = [uncertain(), Woke(), Seen(UNPRICED), Woke()]
    execution = entering().sees(Seen(UNPRICED), *again, *again, uncertain(), Woke())
    assert execution.sees(Absent(NOW)).effect.protection.trigger == 98_000


def test_a_throttled_price_is_not_waited_for() -> None:
    execution = entering().sees(Seen(UNPRICED), unsent(30_000))
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


@pytest.mark.parametrize("seen", [unsent(), Seen(UNFILLED)])
def test_an_exit_that_came_to_nothing_is_tried_again(seen: Observation) -> None:
    execution = exiting().sees(seen)
    assert isinstance(execution.effect, Sleep)
    execution.sees(Woke())
    assert execution.name() == "x2"


def test_an_exit_with_nothing_to_reduce_looks_before_it_believes_it() -> None:
    execution = exiting().sees(FLAT)
    assert execution.effect == Do(Settle(HELD, (), CloseReason.SIGNAL))
    assert execution.sees(SOLD, Done()).ended == ("success", None)
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
