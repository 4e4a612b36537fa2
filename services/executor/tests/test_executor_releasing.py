"""The way out of a spot position, a test for each row of its table."""

from dataclasses import replace
from decimal import Decimal

import pytest

from services.executor.orders import Balance, Order, Purpose, Release, Settle
from services.executor.state import (
    Absent,
    Do,
    Find,
    NotStanding,
    Observation,
    Phase,
    Place,
    Protect,
    Released,
    Seen,
    Settled,
    Sleep,
    Standing,
    StillOpen,
    Through,
    Woke,
)
from services.executor.tests.machine_builders import (
    CLOSED_AT,
    FILLED,
    HELD,
    NOW,
    PARTLY,
    PRICE,
    QUANTITY,
    SOLD,
    THROUGH,
    TIMING,
    Execution,
    refused,
    uncertain,
    unsent,
    view,
    work_of,
)
from services.executor.why import answered
from shared.contracts import Action, CloseReason
from shared.reasons import Reason

STOP, TARGET = CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT
CANCELED = Order("s", "CANCELED", Decimal(0), None, NOW)
STANDING = replace(CANCELED, status="NEW")
HALF_SOLD = replace(CANCELED, executed_quantity=Decimal("0.004"))
WHOLLY_SOLD = replace(FILLED, order_id="s")
POSITION = replace(HELD, target_client_id="held-target", target_order_id="3")
GONE = refused(-2015)


def released(stop: Order | None = CANCELED, free: str = "1", asked_ms: int = NOW) -> Released:
    target = stop and replace(stop, order_id="t", status="CANCELED", executed_quantity=Decimal(0))
    return Released(((STOP, stop), (TARGET, target)), Decimal(free), Balance(Decimal(1), NOW), asked_ms)


def leaving(action: Action = Action.CLOSE) -> Execution:
    return Execution(work_of(action, market_type="spot")).sees(Woke(), view(POSITION))


def sold_of(execution: Execution) -> Decimal:
    assert isinstance(execution.effect, Place)
    return execution.effect.order.quantity


def protecting() -> Execution:
    bought = replace(FILLED, fee=Decimal("0.00001"))
    return Execution(work_of(market_type="spot", margin_usd=Decimal(1000))).sees(Woke(), view(), Seen(bought))


@pytest.mark.parametrize("action", [Action.CLOSE, Action.SELL, Action.CLOSE_ALL])
def test_every_exit_begins_with_the_release(action: Action) -> None:
    execution = leaving(action)
    assert isinstance(execution.effect, Do)
    assert execution.effect.step == Release(POSITION, Purpose.EXIT, CloseReason.SIGNAL)


def test_nothing_is_sold_before_it_is_certain_what_the_protections_sold() -> None:
    execution = leaving()
    for seen in (released(STANDING), released(None), uncertain(), unsent()):
        assert isinstance(execution.sees(seen).effect, Sleep)
        assert isinstance(execution.sees(Woke()).effect, Do)
    assert sold_of(execution.sees(released())) == QUANTITY


def test_only_what_no_leg_has_sold_is_sold() -> None:
    execution = leaving().sees(released(HALF_SOLD))
    assert sold_of(execution) == QUANTITY - Decimal("0.004")
    execution.sees(Seen(replace(FILLED, executed_quantity=Decimal("0.006"))))
    assert execution.effect == Do(Settle(POSITION, ("s", "77"), CloseReason.SIGNAL))
    assert execution.sees(SOLD).ended == ("success", None)


def test_a_leg_that_has_sold_all_is_what_closed_the_position() -> None:
    execution = leaving().sees(released(WHOLLY_SOLD))
    assert execution.effect == Do(Settle(POSITION, ("s",), STOP))
    assert execution.sees(Settled(STOP, PRICE, Decimal(-1))).ended == ("success", None)


def test_what_the_account_has_no_more_is_looked_for_rather_than_sold() -> None:
    execution = leaving().sees(released(free="0.004"))
    assert isinstance(execution.effect, Do)
    assert isinstance(execution.effect.step, Settle)
    assert execution.effect.step.exit_order_ids == ()
    assert execution.sees(Settled(CloseReason.EXTERNAL, None, None)).ended == ("success", None)


def test_a_little_less_than_was_bought_is_sold_all_the_same() -> None:
    assert sold_of(leaving().sees(released(free="0.009"))) == Decimal("0.009")


def test_what_is_there_after_all_but_locked_is_released_again_for_ever() -> None:
    execution = leaving().sees(released(free="0"))
    for _ in range(20):
        execution.sees(StillOpen(), Woke())
        assert isinstance(execution.effect, Do)
        assert isinstance(execution.effect.step, Release)
        assert execution.effect.step.position.protections == ()
        execution.sees(Released((), Decimal(0), Balance(Decimal(1), NOW), NOW))
    assert sold_of(execution.sees(StillOpen(), Woke(), Released((), QUANTITY, Balance(Decimal(1), NOW), NOW))) > 0


def test_an_exit_refused_before_anything_was_done_leaves_the_protections() -> None:
    execution = leaving()
    for _ in range(4):
        execution.sees(GONE, Woke())
    assert execution.sees(GONE).ended == ("failed", "key_rejected")


@pytest.mark.parametrize("before", [uncertain(), released(STANDING), Woke()], ids=["no answer", "cancelling", "crash"])
def test_once_it_may_have_been_released_a_refusal_ends_nothing(before: Observation) -> None:
    execution = leaving().sees(before)
    for _ in range(30):
        execution.sees(GONE, Woke())
    assert sold_of(execution.sees(released())) == QUANTITY


def test_a_release_refused_for_long_needs_attention_and_goes_on() -> None:
    execution = leaving().sees(uncertain())
    for _ in range(15):
        execution.sees(Woke(), GONE)
    assert (execution.state.phase, isinstance(execution.effect, Sleep)) == (Phase.NEEDS_ATTENTION, True)


def test_the_sell_is_refused_for_ever_and_tried_for_ever() -> None:
    execution = leaving().sees(released())
    names = set()
    for _ in range(30):
        names.add(execution.name())
        execution.sees(GONE, Woke())
        assert isinstance(execution.effect, Place)
    assert len(names) == 30


def test_a_sell_that_found_too_little_reads_the_balance_again() -> None:
    missing = type(GONE)(answered(Reason.INSUFFICIENT_MARGIN, -2010, "Account has insufficient balance"))
    execution = leaving().sees(released(), missing, Woke())
    assert isinstance(execution.effect, Do)
    assert isinstance(execution.effect.step, Release)


def test_a_remainder_too_small_to_be_sold_ends_the_position() -> None:
    too_small = type(GONE)(answered(Reason.BELOW_MINIMUM, -1013, "Filter failure: NOTIONAL"))
    execution = leaving().sees(released(), Seen(PARTLY), too_small)
    assert execution.effect == Do(Settle(POSITION, ("77",), CloseReason.SIGNAL))


def test_an_exit_is_sent_again_only_when_it_can_arrive_no_more_and_the_balance_has_not_moved() -> None:
    execution = leaving().sees(released())
    first = execution.name()
    find = execution.sees(uncertain()).effect
    assert isinstance(find, Find)
    assert find.moved is not None
    assert find.moved.by(Decimal(1) - QUANTITY)
    assert not find.moved.by(Decimal(1))
    assert isinstance(execution.sees(Absent(CLOSED_AT)).effect, Sleep)
    assert isinstance(execution.sees(Woke(), Absent(CLOSED_AT + 1), at_ms=CLOSED_AT + 1).effect, Sleep)
    assert isinstance(execution.sees(Woke(), Absent(CLOSED_AT + 2)).effect, Place)
    assert execution.name() != first


def test_both_protections_are_one_order_list_of_what_can_be_sold() -> None:
    execution = protecting()
    assert isinstance(execution.effect, Protect)
    assert execution.effect.protection.quantity == Decimal("0.009")
    opened = execution.sees(Standing("1", "2")).facts[0].position
    assert (opened.quantity, opened.stop_order_id, opened.target_order_id) == (Decimal("0.009"), "1", "2")
    assert execution.ended == ("success", None)


def test_an_order_list_is_sent_again_only_when_its_first_copy_can_arrive_no_more() -> None:
    execution = protecting().sees(uncertain(), NotStanding(NOW + 1))
    assert isinstance(execution.effect, Sleep)
    assert execution.effect.until_ms > NOW + TIMING.recv_window_ms + TIMING.lag_margin_ms
    execution.sees(Woke(), NotStanding(execution.effect.until_ms), at_ms=execution.effect.until_ms)
    assert isinstance(execution.effect, Protect)


def test_a_position_is_not_sold_while_an_unanswered_order_list_may_still_arrive() -> None:
    execution = protecting()
    while not isinstance(execution.effect, Do):
        execution.sees(uncertain(), at_ms=NOW + 20_000)
    assert isinstance(execution.effect, Do)
    assert isinstance(execution.effect.step, Release)
    until_ms = execution.effect.step.absent_from_ms
    assert until_ms is not None
    assert isinstance(execution.sees(released(None, asked_ms=until_ms)).effect, Sleep)
    assert sold_of(execution.sees(Woke(), released(None, asked_ms=until_ms + 1))) == Decimal("0.009")


def test_an_order_list_believed_lost_that_sold_was_a_success() -> None:
    execution = protecting()
    while not isinstance(execution.effect, Do):
        execution.sees(uncertain(), at_ms=NOW + 20_000)
    sold = replace(WHOLLY_SOLD, executed_quantity=Decimal("0.009"))
    execution.sees(released(sold), Settled(STOP, PRICE, Decimal(-1)))
    assert execution.ended == ("success", None)


@pytest.mark.parametrize(("reason", "ended"), [(STOP, ("failed", "unprotected_closed")), (TARGET, ("success", None))])
def test_a_price_through_a_leg_sells_at_market(reason: CloseReason, ended: tuple[str, str | None]) -> None:
    execution = protecting().sees(Through(reason, THROUGH), released(None))  # type: ignore[arg-type]  # one of the two
    assert sold_of(execution) == Decimal("0.009")
    execution.sees(Seen(replace(FILLED, executed_quantity=Decimal("0.009"))), SOLD)
    assert execution.ended == ended


def test_a_buy_of_dust_is_the_customers_and_no_position() -> None:
    dust = replace(FILLED, executed_quantity=Decimal("0.0004"), fee=Decimal("0.0000004"))
    execution = Execution(work_of(market_type="spot", margin_usd=Decimal(1000))).sees(Woke(), view(), Seen(dust))
    assert execution.ended == ("failed", "not_filled")
    assert len(execution.facts) == 1


def test_leverage_multiplies_nothing_on_spot() -> None:
    execution = Execution(work_of(market_type="spot", leverage=50, margin_usd=Decimal(1000))).sees(
        Woke(), view(leverage=1)
    )
    assert isinstance(execution.effect, Place)
    assert (execution.effect.order.spend, execution.effect.order.quantity) == (Decimal(1000), QUANTITY)
