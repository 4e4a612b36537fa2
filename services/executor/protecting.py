"""Protected or flat: stop-loss and take-profit orders, and the unwinding where the stop-loss cannot be had. Pure.

A protection stays open at the exchange, so its client id is unique while it matters and sending it again is safe:
what is there already is answered as out of step, which is uncertain, and then it is looked for.

    ACTING     Standing                   it stands: go on
    ACTING     Refused: price through     close at market
    ACTING     Unsent: no position yet    Binance lags behind its own fill: again shortly, a few times
    ACTING     Refused otherwise, Unsent  again shortly, a few times
    ACTING     Uncertain, Woke            VERIFYING: look for it
    VERIFYING  Standing                   it stands: go on
    VERIFYING  NotStanding                send it again, under the same name
    VERIFYING  NotStanding again          a closePosition order of the customer's is in the way: one bound to the
                                          quantity, under a new name
    any        too often, or too long     a stop-loss: close the position; a take-profit: go on without, and say so
"""

from dataclasses import replace
from decimal import Decimal

from services.executor import sizing, why
from services.executor.orders import (
    CancelProtection,
    Intent,
    MarketOrder,
    Protection,
    ProtectionReason,
    Purpose,
    close,
    closing_side,
)
from services.executor.state import (
    Decision,
    Failure,
    FindProtection,
    NotStanding,
    Observation,
    Phase,
    Placed,
    Protect,
    Refused,
    Sleep,
    Standing,
    State,
    StepDone,
    Trade,
    Uncertain,
    Unsent,
    Woke,
    Work,
    direction_of,
    failed,
    position_of,
)
from services.executor.timing import Timing, backoff_ms
from shared.contracts import CloseReason
from shared.ids import client_order_id
from shared.reasons import Reason

_TRIES_MIN = 3
_TRIES_MAX = 8
_REFUSALS_MAX = 3
_RETRY_MS = 300
_WAIT_MAX_MS = 2_000


def protections(work: Work, entry: MarketOrder, trade: Trade) -> tuple[Protection, ...]:
    """The protections that the job asks for, reckoned from the fill's price.

    closePosition where the position is the account's only one in the symbol: the exchange takes it away with the
    position. Beside a position of the customer's, or of several entries: bound to the quantity.
    """
    assert trade.order is not None, "protected is what was filled"
    basis = trade.price or trade.reference_price
    assert basis is not None, "an entry is planned with a price"
    assert trade.rules is not None, "an entry is planned with its symbol's rules"
    config, direction = work.job.config, direction_of(entry)
    shared = trade.beside_theirs or config.max_entries_per_symbol > 1
    quantity = trade.order.executed_quantity if shared else None

    def protection(reason: ProtectionReason, leg: str, trigger: Decimal) -> Protection:
        name = client_order_id(work.job.execution_id, leg)
        side, working_type = closing_side(direction), config.protection_working_type
        return Protection(
            reason, entry.symbol, side, entry.position_side, trigger, quantity, name, working_type, config.price_protect
        )

    asked = []
    if config.stop_loss_pct:
        trigger = sizing.stop_trigger(direction, basis, config.stop_loss_pct, trade.rules)
        asked.append(protection(CloseReason.STOP_LOSS, "s1", trigger))
    if config.take_profit_pct:
        trigger = sizing.target_trigger(direction, basis, config.take_profit_pct, trade.rules)
        asked.append(protection(CloseReason.TAKE_PROFIT, "t1", trigger))
    return tuple(asked)


def start(state: State, now_ms: int, timing: Timing) -> Decision:
    """Send the protection that is the first step, with a fresh time stamp under its one name."""
    protection = _protection(state)
    intent = Intent(protection.client_id, now_ms, timing.recv_window_ms)
    return Decision(replace(state, phase=Phase.ACTING, intent=intent), Protect(protection, intent))


def observe(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:  # noqa: C901 - a row per line of the table above
    """What follows for the protection that is the first step."""
    if isinstance(seen, Standing):
        return _stands(state, seen.order_id, now_ms)
    if isinstance(seen, Refused) and seen.why.reason is Reason.PRICE_THROUGH:
        return _through(state, seen)
    if _exhausted(state, now_ms, timing) and not isinstance(seen, Woke):
        return _give_up(state)
    match seen:
        case Woke() if state.intent is None:
            return start(state, now_ms, timing)
        case Refused() if state.phase is Phase.ACTING:
            if state.tries + 1 >= _REFUSALS_MAX:
                return _give_up(state)
            return _retry(replace(state, intent=None), now_ms, _RETRY_MS)
        case Unsent(cause) if state.phase is Phase.ACTING and cause.reason is Reason.NO_POSITION_YET:
            return _retry(replace(state, intent=None), now_ms, _RETRY_MS)
        case Unsent(_, wait_ms) if state.phase is Phase.ACTING:
            # orders cost no request weight: a naked position does not wait out the exchange's minute
            wait_ms = max(min(wait_ms, _WAIT_MAX_MS), backoff_ms(state.tries))
            return _retry(replace(state, intent=None), now_ms, wait_ms)
        case Woke():
            return _look(state)
        case Uncertain() if state.phase is Phase.ACTING:
            return _look(state)
        case NotStanding():
            if state.absent and _protection(state).quantity is None:
                state = _bound_to_quantity(state, work)
            return start(replace(state, tries=state.tries + 1, absent=state.absent + 1), now_ms, timing)
        case _:
            return _retry(state, now_ms, _RETRY_MS)


def _protection(state: State) -> Protection:
    step = state.steps[0]
    assert isinstance(step, Protection), "only protections are protected with"
    return step


def _look(state: State) -> Decision:
    protection = _protection(state)
    return Decision(replace(state, phase=Phase.VERIFYING), FindProtection(protection.symbol, protection.client_id))


def _retry(state: State, now_ms: int, wait_ms: int) -> Decision:
    return Decision(replace(state, tries=state.tries + 1), Sleep(now_ms + wait_ms))


def _exhausted(state: State, now_ms: int, timing: Timing) -> bool:
    naked_for_ms = now_ms - (state.trade.filled_at_ms or now_ms)
    return state.tries >= _TRIES_MAX or (state.tries >= _TRIES_MIN and naked_for_ms > timing.naked_max_ms)


def _bound_to_quantity(state: State, work: Work) -> State:
    """The same protection as a new order for the filled quantity: the closePosition one is somebody else's."""
    protection, order = _protection(state), state.trade.order
    assert order is not None, "protected is what was filled"
    leg = "s2" if protection.reason is CloseReason.STOP_LOSS else "t2"
    name = client_order_id(work.job.execution_id, leg)
    bound = replace(protection, quantity=order.executed_quantity, client_id=name)
    # the exchange may only have been slow to show the first one
    remains = CancelProtection(protection.symbol, protection.client_id)
    return replace(state, steps=(bound, *state.steps[1:], remains))


def _stands(state: State, order_id: str, now_ms: int) -> StepDone:
    protection, filled_at_ms = _protection(state), state.trade.filled_at_ms or now_ms
    placed, state = Placed(protection, order_id), replace(state, steps=state.steps[1:])
    if protection.reason is CloseReason.STOP_LOSS:
        return StepDone(state.with_trade(stop=placed, naked_ms=max(0, now_ms - filled_at_ms)))
    return StepDone(state.with_trade(target=placed))


def _through(state: State, refusal: Refused) -> StepDone:
    if _protection(state).reason is CloseReason.TAKE_PROFIT:
        return _unwind(state, CloseReason.TAKE_PROFIT, None)
    return _unwind(state, CloseReason.UNWOUND, failed(why.through_the_stop(refusal.why)))


def _give_up(state: State) -> StepDone:
    if _protection(state).reason is CloseReason.TAKE_PROFIT:
        failure = failed(why.caused(Reason.TAKE_PROFIT_MISSING, state.cause))
        return StepDone(replace(state, steps=state.steps[1:]).with_trade(failure=failure))
    return _unwind(state, CloseReason.UNWOUND, failed(why.caused(Reason.UNPROTECTED_CLOSED, state.cause)))


def _unwind(state: State, reason: CloseReason, failure: Failure | None) -> StepDone:
    protection, trade = _protection(state), state.trade
    exit_order = close(position_of(trade), Purpose.UNWIND, reason)
    rest = tuple(step for step in state.steps if not isinstance(step, Protection))
    # an unanswered protection may stand after all
    steps = (exit_order, *rest, CancelProtection(protection.symbol, protection.client_id))
    return StepDone(replace(state, steps=steps).with_trade(failure=failure))
