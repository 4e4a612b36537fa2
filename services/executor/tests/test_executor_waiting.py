"""What the exchange or our limits make us wait for uses up no tries, and entries may grow too old meanwhile."""

import pytest

from services.executor.orders import Purpose, SetLeverage
from services.executor.outcomes import Answer, NoAnswer, judge
from services.executor.state import Do, FindProtection, Place, Prepare, Protect, Seen, Sleep, Unsent, Woke
from services.executor.tests.machine_builders import (
    FILLED,
    NOW,
    TIMING,
    Execution,
    entering,
    exiting,
    preparing,
    stopping,
    uncertain,
    unsent,
    view,
    work_of,
)
from shared.contracts import Action

MANY = 50
EXPIRES = NOW + 60_000


def test_an_account_is_read_after_the_pause_out_of_what_is_remembered_of_it() -> None:
    waiting = preparing().sees(unsent(20_000))
    assert waiting.effect == Sleep(NOW + 20_000)
    assert waiting.sees(Woke(), at_ms=NOW + 20_000).effect == Prepare(afresh=False)


@pytest.mark.parametrize("execution", [preparing(), entering(), preparing().sees(view(leverage=3))])
def test_an_entry_that_a_pause_makes_too_old_is_recorded_when_it_is_and_says_why(execution: Execution) -> None:
    execution.sees(unsent(3_600_000, code=-1003, banned=True))
    assert execution.effect == Sleep(EXPIRES)
    assert execution.sees(Woke(), at_ms=EXPIRES).ended == ("skipped", "expired")
    failure = execution.state.trade.failure
    assert failure is not None
    assert "-1003" in failure.message


def test_an_entry_waits_as_often_as_it_is_fresh() -> None:
    execution = entering()
    for _ in range(MANY):
        assert execution.sees(unsent(1_000)).effect == Sleep(execution.now_ms + 1_000)
        assert isinstance(execution.sees(Woke(), at_ms=execution.now_ms + 1_000).effect, Place)


def test_a_leverage_waits_as_often_as_the_entry_is_fresh() -> None:
    execution = preparing().sees(view(leverage=3))
    for _ in range(MANY):
        assert execution.sees(unsent(1_000)).effect == Sleep(execution.now_ms + 1_000)
        assert execution.sees(Woke(), at_ms=execution.now_ms + 1_000).effect == Do(SetLeverage("BTCUSDT", 10))


def test_an_exit_goes_out_again_within_two_seconds_of_a_pause_and_after_a_ban() -> None:
    execution = exiting()
    for _ in range(MANY):
        assert execution.sees(unsent(60_000)).effect == Sleep(NOW + 2_000)
        assert isinstance(execution.sees(Woke()).effect, Place)
    assert execution.sees(unsent(600_000, banned=True)).effect == Sleep(NOW + 600_000)


def test_a_stop_loss_goes_out_again_within_two_seconds_of_a_pause_and_after_a_ban() -> None:
    execution = stopping()
    for _ in range(MANY):
        assert execution.sees(unsent(60_000)).effect == Sleep(NOW + 2_000)
        assert isinstance(execution.sees(Woke()).effect, Protect)
    assert execution.sees(unsent(600_000, banned=True)).effect == Sleep(NOW + 600_000)
    assert isinstance(execution.sees(Woke(), at_ms=NOW + 600_000).effect, Protect)


def test_a_stop_loss_that_may_stand_is_looked_for_after_the_pause_not_sent_blindly() -> None:
    execution = stopping().sees(uncertain())
    for _ in range(MANY):
        assert isinstance(execution.sees(unsent(60_000)).effect, Sleep)
        assert isinstance(execution.sees(Woke()).effect, FindProtection)


def test_a_stop_loss_that_throttling_keeps_away_for_minutes_closes_the_position() -> None:
    execution = stopping()
    late = NOW + TIMING.throttled_max_ms + 6
    for _ in range(TIMING.throttled_max_ms // 2_000):
        execution.sees(unsent(2_000), Woke())
    for _ in range(3):
        execution.sees(unsent(2_000), Woke(), at_ms=late)
    assert execution.sees(unsent(2_000)).effect.order.purpose is Purpose.UNWIND


def test_what_comes_after_a_close_waits_as_often_as_it_must() -> None:
    execution = exiting().sees(Seen(FILLED))
    for _ in range(MANY):
        assert execution.sees(unsent(30_000)).effect == Sleep(NOW + 30_000)
        assert isinstance(execution.sees(Woke()).effect, Do)


def test_an_unknown_outcome_is_asked_about_after_the_pause() -> None:
    execution = Execution(work_of(Action.BUY)).sees(Woke(), view(), uncertain(), unsent(30_000))
    assert execution.effect == Sleep(NOW + 30_000)


def test_what_was_not_sent_tells_how_long_to_wait_and_a_ban_that_nothing_may_go() -> None:
    held = judge(NoAnswer(False, "no weight", 1_500))
    assert isinstance(held, Unsent)
    assert (held.wait_ms, held.banned) == (1_500, False)
    for status, banned in ((429, False), (418, True)):
        told = judge(Answer(status, -1003, "Too many requests.", 7))
        assert isinstance(told, Unsent)
        assert (told.wait_ms, told.banned) == (7_000, banned)
