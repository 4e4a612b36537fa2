"""The machine's own rows: preparing, setting leverage and margin type, tidying up."""

from dataclasses import replace
from decimal import Decimal

import pytest

from services.executor.orders import (
    Bracket,
    CancelProtection,
    Purpose,
    SetLeverage,
    SetMarginType,
    Settle,
)
from services.executor.state import (
    Closed,
    Do,
    Done,
    FindProtection,
    NotStanding,
    Observation,
    Phase,
    Place,
    Prepare,
    Prepared,
    Seen,
    Settled,
    Sleep,
    Standing,
    Woke,
)
from services.executor.tests.machine_builders import (
    FILLED,
    FLAT,
    HELD,
    MODE,
    NOW,
    QUANTITY,
    SOLD,
    Execution,
    entering,
    exiting,
    preparing,
    refused,
    uncertain,
    unsent,
    view,
    work_of,
)
from shared.contracts import Action, CloseReason

# --- Preparing ---


def test_a_new_execution_reads_the_account() -> None:
    assert (preparing().effect, preparing().state.phase) == (Prepare(), Phase.PREPARING)


def test_an_account_that_was_read_is_traded_on() -> None:
    entry = entering()
    assert isinstance(entry.effect, Place)
    assert (entry.effect.order.purpose, entry.effect.order.quantity, entry.name()) == (Purpose.ENTRY, QUANTITY, "e1")
    assert entry.effect.intent.stamp_ms == NOW


def test_an_account_that_cannot_be_read_now_is_read_afresh_later() -> None:
    waiting = preparing().sees(uncertain())
    assert waiting.effect == Sleep(NOW + 200)
    assert waiting.sees(Woke(), at_ms=NOW + 200).effect == Prepare(afresh=True)


def test_an_account_that_refuses_to_be_read_is_not_traded_on() -> None:
    assert preparing().sees(refused(-2015)).ended == ("failed", "key_rejected")


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


@pytest.mark.parametrize("code", [-2027, -4028])
def test_what_the_brackets_no_longer_allow_is_planned_again_by_those_of_now_and_once_only(code: int) -> None:
    execution = entering().sees(refused(code))
    assert execution.effect == Prepare(afresh=True)
    brackets = (Bracket(5, Decimal(1_000_000)),)
    execution.sees(Prepared(replace(view(leverage=10).view, brackets=brackets)))
    assert execution.ended == ("failed", "leverage_not_allowed")
    assert execution.facts[-1].trade.failure.message.startswith("10× was asked for, and Binance allows at most 5×")
    execution = entering().sees(refused(code), view())
    assert execution.name() == "e2"
    assert execution.sees(refused(code)).ended[0] == "failed"


def test_an_exit_in_a_mode_that_the_account_no_longer_has_is_looked_at() -> None:
    reversing = Execution(work_of(Action.SELL)).sees(Woke(), view(HELD), MODE, view(HELD))
    reversing.sees(MODE)
    assert isinstance(reversing.effect, Do)
    assert isinstance(reversing.effect.step, Settle)


# --- Leverage and margin type ---


def leveraging() -> Execution:
    return Execution().sees(Woke(), view(leverage=3))


def test_another_leverage_is_set_before_the_entry() -> None:
    assert leveraging().effect == Do(SetLeverage("BTCUSDT", 10))
    assert isinstance(leveraging().sees(Done()).effect, Place)


def test_a_leverage_without_an_answer_is_set_again_and_given_up_after_three_times() -> None:
    execution = leveraging()
    for _ in range(2):
        assert isinstance(execution.sees(uncertain()).effect, Sleep)
        assert execution.sees(Woke()).effect == Do(SetLeverage("BTCUSDT", 10))
    assert execution.sees(unsent()).ended == ("failed", "exchange_unavailable")


def test_a_leverage_that_is_refused_means_no_entry() -> None:
    again = leveraging().sees(refused(-4028), view(leverage=3))
    assert again.effect == Do(SetLeverage("BTCUSDT", 10))
    assert again.sees(refused(-4028)).ended == ("failed", "leverage_not_allowed")


def isolating() -> Execution:
    return Execution(work_of(margin_type="isolated")).sees(Woke(), view(leverage=3))


def test_the_margin_type_is_set_first_then_the_leverage_then_the_entry_is_placed() -> None:
    assert isolating().effect == Do(SetMarginType("BTCUSDT", "isolated"))
    assert isolating().sees(Done()).effect == Do(SetLeverage("BTCUSDT", 10))
    assert isinstance(isolating().sees(Done(), Done()).effect, Place)


@pytest.mark.parametrize("code", [-4047, -4048, -4168])
def test_a_margin_type_that_cannot_be_changed_means_no_entry(code: int) -> None:
    assert isolating().sees(refused(code)).ended == ("failed", "margin_type_locked")


def test_a_margin_type_without_an_answer_is_set_again() -> None:
    execution = isolating().sees(uncertain())
    assert isinstance(execution.effect, Sleep)
    assert execution.sees(Woke()).effect == Do(SetMarginType("BTCUSDT", "isolated"))


# --- Tidying ---


def test_a_protection_that_is_gone_is_as_good_as_cancelled() -> None:
    assert isinstance(exiting().sees(Seen(FILLED), Done()).effect.step, Settle)


def refused_to_cancel() -> Execution:
    again: list[Observation] = [refused(-2015), Woke()]
    return exiting().sees(Seen(FILLED), *again * 4, refused(-2015))


def test_whether_a_protection_stands_is_asked_where_cancelling_it_is_refused() -> None:
    execution = refused_to_cancel()
    assert execution.effect == FindProtection(HELD.symbol, HELD.protections[0][1])
    execution.sees(NotStanding(0), Settled(CloseReason.SIGNAL, Decimal(95_000), Decimal(1)))
    assert execution.ended == ("success", None)
    execution = refused_to_cancel().sees(Standing("7"), Settled(CloseReason.SIGNAL, Decimal(95_000), Decimal(1)))
    assert execution.ended == ("failed", "protection_left")


@pytest.mark.parametrize("seen", [unsent(), uncertain()])
def test_a_protection_that_cannot_be_cancelled_is_left_after_some_minutes_and_told(seen: Observation) -> None:
    again: list[Observation] = [seen, Woke()]
    execution = exiting().sees(Seen(FILLED), *again * 11)
    assert isinstance(execution.effect, Do)
    assert isinstance(execution.effect.step, CancelProtection)
    execution = execution.sees(seen)
    assert isinstance(execution.effect.step, Settle)
    assert execution.sees(Settled(CloseReason.SIGNAL, Decimal(95_000), Decimal(1))).ended == (
        "failed",
        "protection_left",
    )


def test_what_one_protection_closed_before_us_leaves_no_sibling_behind() -> None:
    execution = exiting().sees(FLAT, Settled(CloseReason.STOP_LOSS, Decimal(93_000), Decimal(-1)))
    assert [fact for fact in execution.facts if isinstance(fact, Closed)]
    assert execution.effect == Do(CancelProtection(HELD.symbol, HELD.protections[0][1]))


def test_what_a_close_earned_is_left_open_when_it_cannot_be_read() -> None:
    execution = exiting().sees(Seen(FILLED), Done(), uncertain(), Woke(), uncertain(), Woke(), uncertain())
    assert execution.ended == ("success", None)
    assert Closed(HELD, Settled(CloseReason.SIGNAL, None, None)) in execution.facts


def test_whether_a_position_is_closed_is_asked_until_it_is_known() -> None:
    execution = exiting().sees(FLAT)
    for _ in range(20):
        execution.sees(uncertain(), Woke())
        assert isinstance(execution.effect, Do)
    assert execution.sees(SOLD, Done()).ended == ("success", None)


def test_an_effect_that_was_under_way_in_a_crash_is_repeated() -> None:
    execution = exiting().sees(Seen(FILLED))
    assert execution.effect == execution.sees(Woke()).effect
