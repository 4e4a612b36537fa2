"""Whether a position of ours still stands."""

from decimal import Decimal
from uuid import UUID

import pytest

from services.executor.orders import Order, Position
from services.executor.verdict import Gone, Left, Open, Reading, judge
from shared.contracts import CloseReason

ONE, PART, NONE = Decimal(1), Decimal("0.4"), Decimal(0)
LONG = Position(
    UUID(int=1), "BTCUSDT", "long", "BOTH", ONE, None, "1", 0, stop_client_id="stop", target_client_id="target"
)
BOTH = frozenset({"stop", "target"})
STOP = CloseReason.STOP_LOSS


def fired(quantity: Decimal) -> tuple[tuple[CloseReason, Order], ...]:
    return ((STOP, Order("9", "FILLED" if quantity == ONE else "EXPIRED", quantity, None, 0)),)


@pytest.mark.parametrize(
    ("amount", "standing", "fills", "verdict"),
    [
        (ONE, BOTH, (), Open()),
        (ONE, frozenset({"target"}), (), Open((STOP,))),
        (NONE, frozenset(), (), Gone(CloseReason.EXTERNAL)),
        (-ONE, BOTH, (), Gone(CloseReason.EXTERNAL)),
        (NONE, frozenset(), fired(ONE), Gone(STOP, ("9",))),
        # beside what the customer holds, the protection's fill says more than the amount
        (ONE, frozenset({"target"}), fired(ONE), Gone(STOP, ("9",))),
        # the customer had sold the rest by hand
        (NONE, frozenset(), fired(PART), Gone(STOP, ("9",))),
        # a thin book: the remainder stands, and naked
        (ONE - PART, frozenset({"target"}), fired(PART), Open((STOP,), Left(ONE - PART, ("9",)), is_alone=False)),
        (ONE, frozenset({"target"}), fired(NONE), Open((STOP,), Left(ONE))),
    ],
)
def test_a_long_position_is_judged_by_its_protections_and_its_amount(
    amount: Decimal,
    standing: frozenset[str],
    fills: tuple[tuple[CloseReason, Order], ...],
    verdict: Open | Gone,
) -> None:
    assert judge(LONG, Reading(amount, standing, fills)) == verdict


def test_a_stop_that_was_refused_when_it_triggered_leaves_the_whole_position() -> None:
    reading = Reading(ONE, frozenset({"target"}), (), frozenset({"stop"}))
    assert judge(LONG, reading) == Open((STOP,), Left(ONE))
    assert judge(LONG, Reading(NONE, frozenset(), (), frozenset({"stop"}))) == Gone(CloseReason.EXTERNAL)


def test_a_stop_on_its_way_and_a_target_filled_in_part_leave_nothing_to_be_finished() -> None:
    working = ((STOP, Order("9", "NEW", NONE, None, 0)),)
    assert judge(LONG, Reading(ONE, frozenset({"target"}), working)) == Open((STOP,))
    target = ((CloseReason.TAKE_PROFIT, Order("9", "EXPIRED", PART, None, 0)),)
    reading = Reading(ONE - PART, frozenset({"stop"}), target)
    assert judge(LONG, reading) == Open((CloseReason.TAKE_PROFIT,), is_alone=False)
