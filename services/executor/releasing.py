"""The way out of a spot position: cancel its protections, learn what they sold, sell the rest. Pure.

Spot has no reduce-only: an order sells whatever the account holds, the customer's own too. So nothing is sold before
it is certain what the protections have sold, and from then on the position is naked and nothing gives up.

    Released, every leg final         sell the rest; where a leg has sold all, settle; where the asset is gone, look
    Released, a leg not known         it may still be on its way: ask again once it can arrive no more, then it is none
    Released, a leg not final         ask again
    Unsent, asked to wait             again after the wait, two seconds of it where something was done, or a whole ban
    Refused before anything was done  again shortly; an exit that is refused for good leaves the position protected
    anything else                     again, for ever; after some minutes NEEDS_ATTENTION, going on
"""

from dataclasses import replace
from decimal import Decimal

from services.executor.orders import MarketOrder, Position, Purpose, Release, Settle, Step, closing_side
from services.executor.state import (
    Decision,
    Do,
    Observation,
    Phase,
    Refused,
    Released,
    Sleep,
    State,
    StepDone,
    Unsent,
    Woke,
    failed,
)
from services.executor.timing import Timing, backoff_ms
from shared.reasons import Reason

_REFUSALS_MAX = 5
_ATTENTION_TRIES = 12  # some three minutes
_WAIT_MAX_MS = 2_000


def start(state: State) -> Decision:
    """Cancel and look."""
    return Decision(replace(state, phase=Phase.ACTING), Do(_release(state)))


def observe(state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:
    """What follows for the release that is the first step."""
    step = _release(state)
    match seen:
        case Released() if _is_certain(step, seen):
            return _released(state, step, seen)
        case Released():
            return _again(_begun(state), now_ms, timing.ask_again_ms)
        case Woke() if state.phase is Phase.ACTING:  # we crashed: it may have been done
            return start(_begun(state))
        case Woke():
            return start(state)
        case Refused() if not step.begun:
            if state.tries + 1 >= _REFUSALS_MAX and step.purpose is Purpose.EXIT:
                return StepDone(replace(state, steps=state.steps[1:]).with_trade(failure=failed(seen.why)))
            return _again(state, now_ms, 0)
        case Unsent(wait_ms=wait_ms) if wait_ms:  # which uses up no try; as long as nothing was done, it stands
            wait_ms = wait_ms if seen.banned or not step.begun else min(wait_ms, _WAIT_MAX_MS)
            return Decision(replace(state, phase=Phase.VERIFYING), Sleep(now_ms + max(wait_ms, backoff_ms(0))))
        case _:
            return _again(_begun(state), now_ms, 0)


def _release(state: State) -> Release:
    step = state.steps[0]
    assert isinstance(step, Release), "only protections of a position are released"
    return step


def _begun(state: State) -> State:
    return replace(state, steps=(replace(_release(state), begun=True), *state.steps[1:]))


def _again(state: State, now_ms: int, wait_ms: int) -> Decision:
    phase = Phase.NEEDS_ATTENTION if state.tries >= _ATTENTION_TRIES else Phase.VERIFYING
    wait_ms = max(wait_ms, backoff_ms(state.tries))
    return Decision(replace(state, phase=phase, tries=state.tries + 1), Sleep(now_ms + wait_ms))


def _is_certain(step: Release, seen: Released) -> bool:
    """Whether no protection can sell any more, and how much each has sold is known."""
    return all(
        order.is_final if order else step.absent_from_ms is not None and seen.asked_ms > step.absent_from_ms
        for _, order in seen.legs
    )


def _released(state: State, step: Release, seen: Released) -> StepDone:
    sold = tuple((reason, order) for reason, order in seen.legs if order is not None and order.executed_quantity)
    order_ids = (*step.earlier_order_ids, *(order.order_id for _, order in sold))
    left = step.position.quantity - sum((order.executed_quantity for _, order in sold), Decimal(0))
    then: Step
    if left <= 0:
        then = Settle(step.position, order_ids, sold[0][0])
    elif 2 * seen.free < left:  # a little less may be missing: fees taken of it, dust
        then = Settle(without_protections(step.position, left), (), step.close_reason, order_ids)
    else:
        then = MarketOrder(
            step.purpose,
            step.position.symbol,
            closing_side(step.position.direction),
            step.position.position_side,
            min(left, seen.free),
            step.position,
            sold[0][0] if sold and step.purpose is Purpose.UNWIND else step.close_reason,
            order_ids,
            before=seen.held,
        )
    if left <= 0:
        state = _it_stood(state)
    return StepDone(replace(state, steps=(then, *state.steps[1:])))


def _it_stood(state: State) -> State:
    """A protection believed lost has sold the position: nothing was closed for the lack of it."""
    failure = state.trade.failure
    return state.with_trade(failure=None) if failure and failure.code == Reason.UNPROTECTED_CLOSED else state


def without_protections(position: Position, quantity: Decimal) -> Position:
    """What is left of a position whose protections are gone."""
    return replace(position, quantity=quantity, stop_client_id=None, target_client_id=None)
