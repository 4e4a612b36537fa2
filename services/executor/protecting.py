"""Protected or flat: stop-loss and take-profit orders, and the unwinding where the stop-loss cannot be had. Pure.

A protection stays open at the exchange, so its client id is unique while it matters and sending it again is safe:
what is there already is answered as out of step, which is uncertain, and then it is looked for.

    ACTING     Standing                   it stands: go on
    ACTING     Refused: price through     close at market
    ACTING     Unsent: no position yet    Binance lags behind its own fill: again shortly, a few times
    ACTING     Refused otherwise, Unsent  again shortly, a few times
    any        Unsent, asked to wait      again within two seconds, or after a ban, for two minutes without counting
    ACTING     Uncertain, Woke            VERIFYING: look for it
    VERIFYING  Standing                   it stands: go on
    VERIFYING  NotStanding                send it again, under the same name
    VERIFYING  NotStanding again          a closePosition order of the customer's is in the way: one bound to the
                                          quantity, under a new name
    any        too often, or too long     a stop-loss: close the position; a take-profit: go on without, and say so

Where a protection locks the asset (spot), both are one order list under one name. What is not found is sent again only
once its first copy can arrive no more: nothing at the exchange would keep a late one from selling the customer's own.
"""

from dataclasses import replace
from decimal import Decimal

from services.executor import sizing, why
from services.executor.orders import (
    TRAITS,
    CancelProtection,
    Intent,
    MarketOrder,
    Oco,
    Position,
    Protection,
    ProtectionReason,
    Purpose,
    Release,
    close,
    closing_side,
    leave,
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
    Protected,
    Refused,
    Sleep,
    Standing,
    State,
    StepDone,
    Through,
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
from shared.contracts import CloseReason, MarketType
from shared.ids import client_order_id
from shared.reasons import Reason

_TRIES_MIN = 3
_TRIES_MAX = 8
_REFUSALS_MAX = 3
_RETRY_MS = 300
_WAIT_MAX_MS = 2_000


def protections(work: Work, entry: MarketOrder, trade: Trade) -> tuple[Protection | Oco, ...]:
    """The protections that the job asks for, reckoned from the fill's price.

    closePosition where the position is the account's only one in the symbol: the exchange takes it away with the
    position. Beside a position of the customer's, or of several entries, or where it locks the asset: bound to the
    quantity.
    """
    assert trade.order is not None, "protected is what was filled"
    basis = trade.price or trade.reference_price
    assert basis is not None, "an entry is planned with a price"
    assert trade.rules is not None, "an entry is planned with its symbol's rules"
    config, direction = work.job.config, direction_of(entry)
    locks = TRAITS[config.market_type].locks
    shared = locks or trade.beside_theirs or config.max_entries_per_symbol > 1
    quantity = trade.bought if shared else None

    def protection(reason: ProtectionReason, leg: str, trigger: Decimal) -> Protection:
        name = client_order_id(work.job.execution_id, leg)
        side, working_type = closing_side(direction), config.protection_working_type
        return Protection(
            reason, entry.symbol, side, entry.position_side, trigger, quantity, name, working_type, config.price_protect
        )

    stop = target = None
    if config.stop_loss_pct:
        trigger = sizing.stop_trigger(direction, basis, config.stop_loss_pct, trade.rules)
        stop = protection(CloseReason.STOP_LOSS, "s1", trigger)
    if config.take_profit_pct:
        trigger = sizing.target_trigger(direction, basis, config.take_profit_pct, trade.rules)
        target = protection(CloseReason.TAKE_PROFIT, "t1", trigger)
    if locks and stop and target:
        return (Oco(stop, target, client_order_id(work.job.execution_id, "o1")),)
    return tuple(leg for leg in (stop, target) if leg)


def finish_stop(
    market: MarketType, state: State, position: Position, quantity: Decimal, closed_by: tuple[str, ...]
) -> State:
    """The ended execution of a position whose stop-loss triggered and left `quantity` of it, to close that at market.

    `closed_by`: the order that closed the rest, if one did. What the execution came to has been told already.
    """
    step = leave(market, position, Purpose.UNWIND, CloseReason.STOP_LOSS)
    if isinstance(step, MarketOrder):  # a release learns by itself what is left
        step = replace(step, quantity=quantity, earlier_order_ids=closed_by)
    return replace(state, phase=Phase.ACTING, steps=(step,), intent=None, tries=0, absent=0, seen=None, told=True)


def protect_again(work: Work, state: State, position: Position, now_ms: int, *, is_alone: bool) -> State:
    """The ended execution of a position whose stop-loss stands no more and never triggered, to place it again.

    At its price and under its name: were it there after all, the exchange would say so. Bound to the quantity where the
    position is not alone. A spot position gets its target with it, for they go together.
    """
    entry, trade = state.trade.entry, state.trade
    assert entry is not None, "there is a position once an entry has filled"
    trade = replace(trade, beside_theirs=trade.beside_theirs or not is_alone, filled_at_ms=now_ms)
    asked = (step for step in protections(work, entry, trade) if step.reason is CloseReason.STOP_LOSS)
    steps = tuple(_at(step, position) for step in asked)
    return replace(
        state, phase=Phase.ACTING, steps=steps, intent=None, tries=0, absent=0, seen=None, trade=trade, told=True
    )


def _at(step: Protection | Oco, position: Position) -> Protection | Oco:
    assert position.stop_price is not None, "it had a stop-loss"
    if isinstance(step, Protection):
        return replace(step, trigger=position.stop_price)
    stop = replace(step.stop, trigger=position.stop_price)
    target = replace(step.target, trigger=position.target_price or step.target.trigger)
    return replace(step, stop=stop, target=target)


def start(state: State, now_ms: int, timing: Timing) -> Decision:
    """Send the protection that is the first step, with a fresh time stamp under its one name."""
    protection = _protection(state)
    intent = Intent(protection.client_id, now_ms, timing.recv_window_ms)
    return Decision(replace(state, phase=Phase.ACTING, intent=intent), Protect(protection, intent))


def observe(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:  # noqa: C901 - a row per line of the table above
    """What follows for the protection that is the first step."""
    if isinstance(seen, Standing):
        return _stands(state, seen, now_ms)
    if isinstance(seen, Through):
        return _through(work, state, seen.reason, seen.refusal)
    if isinstance(seen, Refused) and seen.why.reason is Reason.PRICE_THROUGH and state.phase is Phase.ACTING:
        return _through(work, state, _protection(state).reason, seen)
    if isinstance(seen, Unsent) and seen.wait_ms and _naked_for_ms(state, now_ms) <= timing.throttled_max_ms:
        return _waiting(state, seen, now_ms)
    if _exhausted(state, now_ms, timing) and not isinstance(seen, Woke):
        return _give_up(work, state, seen, timing)
    match seen:
        case Woke() if state.intent is None:
            return start(state, now_ms, timing)
        case Refused() if state.phase is Phase.ACTING:
            if state.tries + 1 >= _REFUSALS_MAX:
                return _give_up(work, state, seen, timing)
            return _retry(replace(state, intent=None), now_ms, _RETRY_MS)
        case Unsent(cause) if state.phase is Phase.ACTING and cause.reason is Reason.NO_POSITION_YET:
            return _retry(replace(state, intent=None), now_ms, _RETRY_MS)
        case Unsent() if state.phase is Phase.ACTING:
            return _retry(replace(state, intent=None), now_ms, min(backoff_ms(state.tries), _WAIT_MAX_MS))
        case Woke():
            return _look(state)
        case Uncertain() if state.phase is Phase.ACTING:
            return _look(state)
        case NotStanding(asked_ms) if _locks(work) and asked_ms <= _lost_from_ms(state, timing):
            return _retry(state, now_ms, max(_RETRY_MS, _lost_from_ms(state, timing) + 1 - now_ms))
        case NotStanding():
            if state.absent and _protection(state).quantity is None:
                state = _bound_to_quantity(state, work)
            return start(replace(state, tries=state.tries + 1, absent=state.absent + 1), now_ms, timing)
        case _:
            return _retry(state, now_ms, _RETRY_MS)


def _locks(work: Work) -> bool:
    return TRAITS[work.job.config.market_type].locks


def _protection(state: State) -> Protection | Oco:
    step = state.steps[0]
    assert isinstance(step, Protection | Oco), "only protections are protected with"
    return step


def _legs(step: Protection | Oco) -> tuple[Protection, ...]:
    return (step.stop, step.target) if isinstance(step, Oco) else (step,)


def _look(state: State) -> Decision:
    names = (leg.client_id for leg in _legs(_protection(state)))
    return Decision(replace(state, phase=Phase.VERIFYING), FindProtection(_protection(state).symbol, *names))


def _lost_from_ms(state: State, timing: Timing) -> int:
    """From when on what is not there will not come any more: its window is over, and the queries have caught up."""
    if state.intent is None:
        return 0
    return state.intent.stamp_ms + state.intent.recv_window_ms + timing.lag_margin_ms


def _retry(state: State, now_ms: int, wait_ms: int) -> Decision:
    return Decision(replace(state, tries=state.tries + 1), Sleep(now_ms + wait_ms))


def _exhausted(state: State, now_ms: int, timing: Timing) -> bool:
    naked_too_long = _naked_for_ms(state, now_ms) > timing.naked_max_ms
    return state.tries >= _TRIES_MAX or (state.tries >= _TRIES_MIN and naked_too_long)


def _naked_for_ms(state: State, now_ms: int) -> int:
    return now_ms - (state.trade.filled_at_ms or now_ms)


def _waiting(state: State, seen: Unsent, now_ms: int) -> Decision:
    """The exchange or its limits make us wait, which uses up no try."""
    # orders cost no request weight: a naked position does not wait out the exchange's minute, only a ban
    wait_ms = max(seen.wait_ms if seen.banned else min(seen.wait_ms, _WAIT_MAX_MS), _RETRY_MS)
    intent = None if state.phase is Phase.ACTING else state.intent
    return Decision(replace(state, intent=intent), Sleep(now_ms + wait_ms))


def _bound_to_quantity(state: State, work: Work) -> State:
    """The same protection as a new order for the filled quantity: the closePosition one is somebody else's."""
    protection, order = _protection(state), state.trade.order
    assert isinstance(protection, Protection), "an order list is bound to its quantity"
    assert order is not None, "protected is what was filled"
    leg = "s2" if protection.reason is CloseReason.STOP_LOSS else "t2"
    name = client_order_id(work.job.execution_id, leg)
    bound = replace(protection, quantity=order.executed_quantity, client_id=name)
    # the exchange may only have been slow to show the first one
    remains = CancelProtection(protection.symbol, protection.client_id)
    return replace(state, steps=(bound, *state.steps[1:], remains))


def _stands(state: State, standing: Standing, now_ms: int) -> StepDone:
    step, naked_ms = _protection(state), max(0, now_ms - (state.trade.filled_at_ms or now_ms))
    order_ids = (standing.order_id, standing.target_order_id or standing.order_id)
    state = replace(state, steps=state.steps[1:])
    for leg, order_id in zip(_legs(step), order_ids, strict=False):
        if leg.reason is CloseReason.STOP_LOSS:
            state = state.with_trade(stop=Placed(leg, order_id), naked_ms=naked_ms)
        else:
            state = state.with_trade(target=Placed(leg, order_id))
    return StepDone(state, (Protected(position_of(state.trade)),) if state.told else ())


def _through(work: Work, state: State, reason: ProtectionReason, refusal: Refused) -> StepDone:
    if reason is CloseReason.TAKE_PROFIT:
        return _unwind(work, state, CloseReason.TAKE_PROFIT, None)
    return _unwind(work, state, CloseReason.UNWOUND, failed(why.through_the_stop(refusal.why)))


def _give_up(work: Work, state: State, seen: Observation, timing: Timing) -> StepDone:
    step = _protection(state)
    if step.reason is CloseReason.TAKE_PROFIT:
        failure = failed(why.caused(Reason.TAKE_PROFIT_MISSING, state.cause))
        # one that locks the asset and was unanswered may stand after all
        remains = (CancelProtection(step.symbol, step.client_id),) if _locks(work) else ()
        return StepDone(replace(state, steps=(*state.steps[1:], *remains)).with_trade(failure=failure))
    failure = failed(why.caused(Reason.UNPROTECTED_CLOSED, state.cause))
    certain = isinstance(seen, Refused | Unsent) and state.phase is Phase.ACTING
    return _unwind(work, state, CloseReason.UNWOUND, failure, 0 if certain else _lost_from_ms(state, timing))


def _unwind(work: Work, state: State, reason: CloseReason, failure: Failure | None, lost_from_ms: int = 0) -> StepDone:
    """`lost_from_ms`: until then an unanswered protection may still arrive."""
    step = _protection(state)
    rest = tuple(later for later in state.steps if not isinstance(later, Protection | Oco))
    if _locks(work):
        names = {leg.reason: leg.client_id for leg in _legs(step)}
        position = replace(
            position_of(state.trade),
            stop_client_id=names.get(CloseReason.STOP_LOSS),
            target_client_id=names.get(CloseReason.TAKE_PROFIT),
        )
        release = Release(position, Purpose.UNWIND, reason, absent_from_ms=lost_from_ms)
        return StepDone(replace(state, steps=(release, *rest)).with_trade(failure=failure))
    exit_order = close(position_of(state.trade), Purpose.UNWIND, reason)
    # an unanswered protection may stand after all
    steps = (exit_order, *rest, CancelProtection(step.symbol, step.client_id))
    return StepDone(replace(state, steps=steps).with_trade(failure=failure))
