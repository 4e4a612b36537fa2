"""The placement protocol for market orders: entries, exits and unwinds. Pure; the rules P1 to P5 are in `machine`.

ACTING     Seen, final               filled, or not at all
ACTING     Seen, not final           VERIFYING: ask again shortly
ACTING     Refused otherwise         the purpose decides: see _refused
ACTING     Stopped                   an entry was not sent, and is not made
ACTING     Unsent, asked to wait     the same after the wait, of which an exit bears two seconds, or a ban whole
ACTING     Unsent                    a new attempt under a new name; an entry only while its signal is fresh; what
                                     must be closed and cannot for long NEEDS_ATTENTION, going on
ACTING     Uncertain                 VERIFYING: ask; also where it is there already, by its name
ACTING     Woke (we crashed)         VERIFYING: ask; the request may have left
VERIFYING  Seen                      as above
VERIFYING  Absent, asked too early   wait until asking means something
VERIFYING  Absent, in time, twice    an entry was not placed; an exit or unwind gets a new attempt
VERIFYING  Absent, but seen before   ask again: what was acknowledged has arrived, whatever a query says
VERIFYING  anything else             ask again; after a quarter of an hour NEEDS_ATTENTION, asking on
PRICING    Seen final with its price filled
PRICING    anything else             ask again; after a few seconds protect without the price, and ask once more after
"""

from dataclasses import replace
from decimal import Decimal

from services.executor import why
from services.executor.orders import (
    AskPrice,
    CancelProtection,
    Intent,
    MarketOrder,
    Order,
    Purpose,
    Release,
    Settle,
    Step,
)
from services.executor.protecting import protections
from services.executor.releasing import without_protections
from services.executor.state import (
    Absent,
    Decision,
    Failure,
    Find,
    Moved,
    Observation,
    Phase,
    Place,
    Refused,
    Seen,
    Sleep,
    State,
    StepDone,
    Stopped,
    Trade,
    Uncertain,
    Unsent,
    Woke,
    Work,
    asked_to_wait_ms,
    failed,
    skipped,
)
from services.executor.timing import Timing, backoff_ms
from shared.clock import to_ms
from shared.ids import client_order_id, derived
from shared.reasons import Reason

_ENTRY_TRIES_MAX = 5
_PRICE_TRIES_MAX = 6
_EXIT_REFUSALS_MAX = 5
_EXIT_WAIT_MAX_MS = 2_000
_ATTENTION_TRIES = 12  # some three minutes
_ABSENT_ENOUGH = 2
_LETTERS = {Purpose.ENTRY: "e", Purpose.EXIT: "x", Purpose.UNWIND: "u"}


def start(work: Work, state: State, now_ms: int, timing: Timing) -> Decision | StepDone:
    """A new attempt: a new name and a new intent (P5), committed before the request exists (P1)."""
    order = _order(state)
    if order.purpose is Purpose.ENTRY and is_stale(work, now_ms):
        return expired(state)
    attempt = state.attempt + 1
    name = client_order_id(work.job.execution_id, f"{_LETTERS[order.purpose]}{attempt}")
    intent = Intent(name, now_ms, timing.recv_window_ms)
    state = replace(state, phase=Phase.ACTING, attempt=attempt, intent=intent, absent=0, seen=None)
    return Decision(state, Place(order, intent))


def is_stale(work: Work, now_ms: int) -> bool:
    """Whether an entry comes too late. Exits never do."""
    return work.opens and work.job.expires_at is not None and now_ms >= to_ms(work.job.expires_at)


def expired(state: State) -> StepDone:
    """The entry's signal is too old by now; the record tells what it waited for."""
    return StepDone(without_entry(state).with_trade(failure=skipped(why.caused(Reason.EXPIRED, state.cause))))


def wake_entry(work: Work, at_ms: int) -> Sleep:
    """Wait with an entry until then, or until it is too old, to say so at once."""
    return Sleep(at_ms if work.job.expires_at is None else min(at_ms, to_ms(work.job.expires_at)))


def observe(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:
    """What follows for the market order that is the first step."""
    if state.intent is None:
        return start(work, state, now_ms, timing)
    if state.phase is Phase.PRICING:
        return _pricing(work, state, seen, now_ms, timing)
    match seen:
        case Seen(order):
            return _seen(work, state, order, now_ms, timing)
        case Absent(asked_ms) if state.phase is not Phase.ACTING:
            return _absent(work, state, asked_ms, now_ms, timing)
        case Woke() | Uncertain() if state.phase is Phase.ACTING:
            return _ask(replace(state, phase=Phase.VERIFYING, tries=0))
        case Refused() if state.phase is Phase.ACTING:
            return _refused(work, state, seen, now_ms)
        case Stopped() if state.phase is Phase.ACTING:
            return _give_up_entry(state, skipped(seen.why))
        case Unsent() if state.phase is Phase.ACTING and seen.wait_ms:
            return _waiting(work, replace(state, intent=None), seen, now_ms)
        case Unsent(cause) if state.phase is Phase.ACTING:
            return _again(work, state, cause, now_ms)
        case Woke():
            return _ask(state)
        case _:
            return _ask_later(state, now_ms, timing, asked_to_wait_ms(seen))


def _order(state: State) -> MarketOrder:
    step = state.steps[0]
    assert isinstance(step, MarketOrder), "only market orders are placed"
    return step


def _intent(state: State) -> Intent:
    assert state.intent is not None, "asked about only what was intended"
    return state.intent


def _ask(state: State) -> Decision:
    order = _order(state)
    pricing = state.phase is Phase.PRICING
    return Decision(state, Find(order.symbol, _intent(state).client_id, _moved(order, state.trade), pricing))


def _moved(order: MarketOrder, trade: Trade) -> Moved | None:
    """What would show that the order filled although queries hide it; nothing for a close that is reduce-only."""
    if order.before is not None:
        # in part perhaps, or at another price, or less a fee
        return Moved(order, order.before.total, order.quantity / 2, order.before.at_ms)
    if order.purpose is Purpose.ENTRY:
        return Moved(order, _held_before(order, trade), order.quantity)
    return None


def _held_before(entry: MarketOrder, trade: Trade) -> Decimal:
    """What the account held on the entry's side just before it: what was read, less what this execution closed."""
    closed = sum((order.executed_quantity for order in trade.exit_orders), Decimal(0))
    if entry.position_side != "BOTH":
        return trade.held_before
    return trade.held_before + (closed if entry.side == "BUY" else -closed)


def _ask_later(state: State, now_ms: int, timing: Timing, wait_ms: int = 0) -> Decision:
    unknown_for_ms = now_ms - _intent(state).stamp_ms
    if unknown_for_ms > timing.attention_after_ms:
        state = replace(state, phase=Phase.NEEDS_ATTENTION)
        return Decision(state, Sleep(now_ms + timing.attention_every_ms))
    wait_ms = max(timing.ask_again_ms, backoff_ms(state.tries), wait_ms)
    return Decision(replace(state, phase=Phase.VERIFYING, tries=state.tries + 1), Sleep(now_ms + wait_ms))


def _absent(work: Work, state: State, asked_ms: int, now_ms: int, timing: Timing) -> Decision | StepDone:
    intent, order = _intent(state), _order(state)
    if state.seen is not None:
        return _ask_later(state, now_ms, timing)
    closed_at_ms = intent.stamp_ms + intent.recv_window_ms + timing.lag_margin_ms
    if asked_ms <= closed_at_ms:
        wake_ms = min(closed_at_ms + 1, now_ms + timing.ask_again_ms + backoff_ms(state.tries))
        return Decision(replace(state, absent=0, tries=state.tries + 1), Sleep(max(wake_ms, now_ms + 1)))
    if state.absent + 1 < _ABSENT_ENOUGH:
        return Decision(replace(state, absent=state.absent + 1), Sleep(now_ms + timing.ask_again_ms))
    if order.purpose is not Purpose.ENTRY:
        return start(work, state, now_ms, timing)
    return _give_up_entry(state, failed(why.caused(Reason.NOT_PLACED, state.cause)))


def _seen(work: Work, state: State, order: Order, now_ms: int, timing: Timing) -> Decision | StepDone:
    if not order.is_final:
        return _ask_later(replace(state, absent=0, seen=order), now_ms, timing)
    if order.executed_quantity == 0:
        return _nothing_filled(work, state, order, now_ms)
    if order.average_price is None:
        return _ask(replace(state, phase=Phase.PRICING, tries=0, seen=order))
    return _filled(work, state, order)


def _pricing(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:
    assert state.seen is not None, "it was seen filled"
    if isinstance(seen, Seen) and seen.order.is_final and seen.order.average_price is not None:
        return _filled(work, state, seen.order)
    if isinstance(seen, Woke):
        return _ask(state)
    late = now_ms - state.seen.time_ms > timing.price_within_ms
    if late or state.tries + 1 >= _PRICE_TRIES_MAX or asked_to_wait_ms(seen):
        # Better a stop-loss reckoned from the price we read than a position without one.
        return _filled(work, state, state.seen)
    return Decision(replace(state, tries=state.tries + 1), Sleep(now_ms + backoff_ms(state.tries)))


def _filled(work: Work, state: State, order: Order) -> StepDone:
    step, rest = _order(state), state.steps[1:]
    if step.purpose is Purpose.ENTRY:
        state = state.with_trade(
            position_id=derived("position", work.job.execution_id),
            entry=step,
            order=order,
            price=order.average_price,
            filled_at_ms=order.time_ms,
        )
        if _is_dust(state.trade):
            return _bought_dust(state)
        asking: tuple[Step, ...] = ()
        if order.average_price is None and state.intent is not None:
            asking = (AskPrice(step.symbol, state.intent.client_id),)
        return StepDone(replace(state, steps=(*protections(work, step, state.trade), *asking, *rest)))
    assert step.position is not None, "an exit closes a position"
    state = state.with_trade(exit_orders=(*state.trade.exit_orders, order))
    if order.executed_quantity < step.quantity:  # the book was thin: the exchange let the remainder expire
        before = step.before and replace(step.before, total=step.before.total - order.executed_quantity)
        remainder = replace(
            step,
            quantity=step.quantity - order.executed_quantity,
            earlier_order_ids=(*step.earlier_order_ids, order.order_id),
            before=before,
        )
        return StepDone(replace(state, steps=(remainder, *rest)))
    standing = () if step.is_naked else step.position.protections
    after: tuple[Step, ...] = (
        *(CancelProtection(step.symbol, name) for _, name in standing),
        Settle(step.position, (*step.earlier_order_ids, order.order_id), step.close_reason),
    )
    return StepDone(replace(state, steps=(*rest, *after)))


def _is_dust(trade: Trade) -> bool:
    """Whether what a spot entry bought is so little that no order can sell it."""
    if trade.order is None or trade.rules is None or trade.entry is None or trade.entry.spend is None:
        return False
    price = trade.price or trade.reference_price or Decimal(0)
    return trade.bought < trade.rules.quantity_min or trade.bought * price < trade.rules.notional_min


def _bought_dust(state: State) -> StepDone:
    failure = failed(why.bought_dust(state.trade.bought))
    return StepDone(without_entry(state).with_trade(failure=failure, opened=True))


def _nothing_filled(work: Work, state: State, order: Order, now_ms: int) -> Decision | StepDone:
    if _order(state).purpose is Purpose.ENTRY:
        return _give_up_entry(state, failed(why.not_filled(order.status)))
    return _again(work, state, why.not_filled(order.status), now_ms)


def _refused(work: Work, state: State, refusal: Refused, now_ms: int) -> Decision | StepDone:
    step = _order(state)
    failure = failed(refusal.why)
    if step.purpose is Purpose.ENTRY:
        return _give_up_entry(state, failure)
    assert step.position is not None, "an exit closes a position"
    if step.is_naked:
        return _refused_naked(work, state, refusal, now_ms)
    if refusal.why.reason in (Reason.CLOSE_REFUSED, Reason.ACCOUNT_MODE):
        # It may be flat already (without that no account changes its position mode), or orders of the customer stand
        # in the way: look before believing either.
        left = replace(step.position, quantity=step.quantity)
        settle = Settle(left, (), step.close_reason, step.earlier_order_ids)
        return StepDone(replace(state, steps=(settle, *state.steps[1:])))
    if step.purpose is Purpose.EXIT and state.tries + 1 >= _EXIT_REFUSALS_MAX:
        # The position stays open with its protections; the reversal it was part of does not happen.
        return StepDone(without_entry(replace(state, steps=state.steps[1:])).with_trade(failure=failure))
    return _again(work, state, refusal.why, now_ms)


def _refused_naked(work: Work, state: State, refusal: Refused, now_ms: int) -> Decision | StepDone:
    """What was released must be sold: nothing gives up but where there is nothing that could be."""
    step, rest = _order(state), state.steps[1:]
    assert step.position is not None, "an exit closes a position"
    if refusal.why.reason is Reason.INSUFFICIENT_MARGIN:  # it is gone, or orders of the customer lock it
        left = without_protections(step.position, step.quantity)
        again = Release(left, step.purpose, step.close_reason, step.earlier_order_ids, begun=True)
        again_ms = now_ms + backoff_ms(state.attempt)
        return Decision(replace(state, steps=(again, *rest), intent=None), Sleep(again_ms))
    if refusal.why.reason is Reason.BELOW_MINIMUM and step.earlier_order_ids:  # the rest is dust
        settle = Settle(step.position, step.earlier_order_ids, step.close_reason)
        return StepDone(replace(state, steps=(settle, *rest)))
    if refusal.why.reason is Reason.BELOW_MINIMUM:
        return StepDone(without_entry(replace(state, steps=rest)).with_trade(failure=failed(refusal.why)))
    return _again(work, state, refusal.why, now_ms)


def _waiting(work: Work, state: State, seen: Unsent, now_ms: int) -> Decision:
    """The exchange or its limits make us wait, which uses up no try."""
    if _order(state).purpose is Purpose.ENTRY:
        return Decision(state, wake_entry(work, now_ms + seen.wait_ms))
    # orders cost no request weight: an exit does not wait out the minute, only a ban
    wait_ms = seen.wait_ms if seen.banned else min(seen.wait_ms, _EXIT_WAIT_MAX_MS)
    return Decision(state, Sleep(now_ms + max(wait_ms, backoff_ms(0))))


def _again(work: Work, state: State, cause: why.Why, now_ms: int) -> Decision | StepDone:
    step = _order(state)
    if step.purpose is Purpose.ENTRY and (state.tries + 1 >= _ENTRY_TRIES_MAX or is_stale(work, now_ms)):
        return _give_up_entry(state, failed(cause))
    phase = Phase.NEEDS_ATTENTION if state.tries >= _ATTENTION_TRIES else Phase.ACTING
    state = replace(state, phase=phase, intent=None, tries=state.tries + 1)
    return Decision(state, Sleep(now_ms + backoff_ms(state.tries - 1)))


def _give_up_entry(state: State, failure: Failure) -> StepDone:
    return StepDone(without_entry(state).with_trade(failure=failure))


def without_entry(state: State) -> State:
    """The state with no entry, and nothing that prepares one, among its steps."""
    kept = tuple(
        step
        for step in state.steps
        if isinstance(step, CancelProtection | Release | Settle) or (isinstance(step, MarketOrder) and step.reduce_only)
    )
    return replace(state, steps=kept)
