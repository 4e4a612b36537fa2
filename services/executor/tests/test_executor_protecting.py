"""Protected or flat, a test for each row of its table."""

from decimal import Decimal

import pytest

from services.executor.orders import (
    Purpose,
)
from services.executor.state import (
    Done,
    FindProtection,
    NotStanding,
    Observation,
    Opened,
    Protect,
    Seen,
    Settled,
    Sleep,
    Standing,
    Woke,
)
from services.executor.tests.machine_builders import (
    FILLED,
    FULL,
    NOT_YET,
    NOW,
    PRICE,
    QUANTITY,
    TAKEN,
    THROUGH,
    TIMING,
    stopping,
    uncertain,
    unsent,
    unwinding,
)
from shared.contracts import CloseReason

# --- Protecting ---


@pytest.mark.parametrize("seen", [TAKEN, uncertain(-4130), uncertain(), Woke()])
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


@pytest.mark.parametrize("seen", [FULL, unsent()])
def test_a_stop_that_is_not_taken_is_sent_again_under_the_same_name(seen: Observation) -> None:
    execution = stopping().sees(seen)
    assert isinstance(execution.effect, Sleep)
    assert execution.sees(Woke()).effect.protection.client_id.endswith("-s1")


def test_a_stop_that_is_not_found_is_sent_again_and_then_bound_to_the_quantity() -> None:
    execution = stopping().sees(uncertain(), NotStanding())
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
        execution.sees(unsent(), Woke())
    late = NOW + TIMING.naked_max_ms + 6
    assert execution.sees(unsent(), at_ms=late).effect.order.purpose is Purpose.UNWIND


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


def test_a_stop_loss_that_is_not_taken_is_sent_again_within_two_seconds_however_often() -> None:
    execution = stopping()
    for _ in range(8):
        execution.sees(unsent())
        assert isinstance(execution.effect, Sleep)
        assert execution.effect.until_ms <= NOW + 2_000
        execution.sees(Woke())
    assert execution.sees(unsent()).effect.order.purpose is Purpose.UNWIND
