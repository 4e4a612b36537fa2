"""The executor's machine: what to do next for one execution, given where it stands and what was observed. Pure.

Rule 1: what happens at the exchange is decided here, in `plan`, `placing`, `protecting`, `releasing`, nowhere else.
Rule 2: one effect per decision, and total: no observation in any phase raises; what is not foreseen is asked about.
Rule 3: the placement protocol.
    P1  An order's intent is committed before its request exists.
    P2  The intent's time stamp is the request's, so that the exchange itself refuses late copies.
    P3  "Not found" counts only when asked after the request could no longer be accepted, twice, and for an entry, or
        where no exchange keeps an exit from selling too much, only while what the account holds has not moved by it.
    P4  What is not recognised is uncertain.
    P5  A new attempt has a new name and a new intent; an entry whose outcome was uncertain gets none.
"""

from dataclasses import replace
from decimal import Decimal

from services.executor import attention, placing, protecting, releasing, why
from services.executor.orders import (
    TRAITS,
    AskPrice,
    CancelProtection,
    MarketOrder,
    Oco,
    Protection,
    Purpose,
    Release,
    SetLeverage,
    SetMarginType,
    Settle,
    leave,
)
from services.executor.plan import held_by_hand, plan
from services.executor.state import (
    Closed,
    Decision,
    Do,
    Done,
    End,
    Fact,
    Find,
    FindProtection,
    Finished,
    NotStanding,
    Observation,
    Opened,
    Phase,
    Prepare,
    Prepared,
    Refused,
    Seen,
    Settled,
    Sleep,
    Standing,
    State,
    StepDone,
    StillOpen,
    Uncertain,
    Unsent,
    Unserved,
    Woke,
    Work,
    asked_to_wait_ms,
    failed,
    position_of,
    skipped,
)
from services.executor.timing import Timing, backoff_ms
from shared.contracts import CloseReason
from shared.reasons import Reason

_TRIES_MAX = 3
_EXIT_TRIES_MAX = 5  # what must be closed is not given up because one look at the account was refused
_PRICE_TRIES_MAX = 4
_CANCEL_REFUSALS_MAX = 5
_CANCEL_TRIES_MAX = 12  # some three minutes: left behind, one bound to a quantity may later close what is not ours


def decide(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    """The next state, the one effect to perform, and what is to be told.

    `now_ms` is the exchange's time. Total; raises nothing.
    """
    if state.phase is Phase.DONE:
        return Decision(state, End())
    heeded = attention.heed(state) if state.said is not None else state
    if isinstance(heeded, StepDone):
        return _go_on(work, heeded, now_ms, timing)
    decision = _decide(work, _with_cause(heeded, seen), seen, now_ms, timing)
    return attention.noted(decision, seen, now_ms)


def _decide(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if state.phase in (Phase.QUEUED, Phase.PREPARING):
        outcome = _preparing(work, state, seen, now_ms)
    else:
        outcome = _doing(work, state, seen, now_ms, timing)
    return outcome if isinstance(outcome, Decision) else _go_on(work, outcome, now_ms, timing)


def _with_cause(state: State, seen: Observation) -> State:
    """What last went wrong with a request; askings about it that fail as well are not its cause."""
    match seen:
        case Refused() | Unsent() | Uncertain() if state.phase in (Phase.PREPARING, Phase.ACTING) or not state.cause:
            return replace(state, cause=seen.why)
        case _:
            return state


def _preparing(work: Work, state: State, seen: Observation, now_ms: int) -> Decision | StepDone:
    match seen:
        case Prepared(_, True) if work.opens:
            return StepDone(state.with_trade(failure=skipped(why.plainly(Reason.OVERTAKEN))))
        case Prepared(view):
            planned = plan(work.signal, work.job, view)
            entries = [step for step in planned.steps if isinstance(step, MarketOrder) and not step.reduce_only]
            beside = any(held_by_hand(view, entry.symbol, entry.position_side) for entry in entries)
            before = sum((view.amount(entry.symbol, entry.position_side) for entry in entries), Decimal(0))
            state = state.with_trade(
                rules=view.rules,
                reference_price=view.price,
                beside_theirs=beside,
                held_before=before,
                failure=planned.failure,
            )
            return StepDone(replace(state, steps=planned.steps))
        case Refused() if work.signal.action.is_entry or state.tries + 1 >= _EXIT_TRIES_MAX:
            return StepDone(replace(state, steps=()).with_trade(failure=failed(seen.why)))
        case Refused() | Unsent() | Uncertain():
            asked_ms = asked_to_wait_ms(seen)
            state = replace(state, phase=Phase.PREPARING, tries=state.tries + (not asked_ms))
            return Decision(state, placing.wake_entry(work, now_ms + (asked_ms or backoff_ms(state.tries - 1))))
        case _ if placing.is_stale(work, now_ms):
            return StepDone(state.with_trade(failure=skipped(why.caused(Reason.EXPIRED, state.cause))))
        case _:
            return Decision(replace(state, phase=Phase.PREPARING), Prepare(afresh=state.tries > 0))


def _doing(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision | StepDone:
    step = state.steps[0]
    if isinstance(seen, Unserved):  # begun where it was traded: its end can be learned only there
        return Decision(state, Sleep(now_ms + timing.attention_every_ms))
    if isinstance(seen, Refused) and seen.tells_of_change and _may_be_planned_again(state):
        again = replace(state, phase=Phase.PREPARING, steps=(), intent=None, tries=1, planned_again=True)
        return Decision(again, Prepare(afresh=True))
    match step:
        case MarketOrder():
            return placing.observe(work, state, seen, now_ms, timing)
        case Protection() | Oco():
            return protecting.observe(work, state, seen, now_ms, timing)
        case Release():
            return releasing.observe(state, seen, now_ms, timing)
        case SetLeverage() | SetMarginType():
            return _setting(work, state, seen, now_ms)
        case AskPrice():
            return _asking_price(state, step, seen, now_ms)
        case CancelProtection():
            return _cancelling(state, step, seen, now_ms)
        case Settle():
            return _settling(work, state, step, seen, now_ms)


def _may_be_planned_again(state: State) -> bool:
    """Whether nothing has been traded yet, so that the whole plan may be made again, once."""
    traded = state.trade.order or state.trade.exit_orders
    return state.phase is Phase.ACTING and not traded and not state.planned_again


def _setting(work: Work, state: State, seen: Observation, now_ms: int) -> Decision | StepDone:
    match seen:
        case Done():
            return StepDone(replace(state, steps=state.steps[1:]))
        case Refused():
            return StepDone(placing.without_entry(state).with_trade(failure=failed(seen.why)))
        case Woke():
            return placing.expired(state) if placing.is_stale(work, now_ms) else _do(state)
        case Unsent(wait_ms=wait_ms) if wait_ms:
            return Decision(state, placing.wake_entry(work, now_ms + wait_ms))
        case _ if state.tries + 1 >= _TRIES_MAX:
            failure = failed(why.settings_not_made(state.cause))
            return StepDone(placing.without_entry(state).with_trade(failure=failure))
        case _:
            return _later(state, now_ms)


def _asking_price(state: State, step: AskPrice, seen: Observation, now_ms: int) -> Decision | StepDone:
    """The position is protected by now; its record can wait some seconds for the price, but not for ever."""
    rest = replace(state, steps=state.steps[1:])
    match seen:
        case Seen(order) if order.average_price is not None:
            return StepDone(rest.with_trade(price=order.average_price))
        case Woke():
            return _ask_price(state, step)
        case _ if state.tries + 1 >= _PRICE_TRIES_MAX:
            return StepDone(rest)
        case _:
            return _later(state, now_ms, asked_to_wait_ms(seen))


def _ask_price(state: State, step: AskPrice) -> Decision:
    return Decision(replace(state, phase=Phase.ACTING), Find(step.symbol, step.entry_client_id, pricing=True))


def _cancelling(state: State, step: CancelProtection, seen: Observation, now_ms: int) -> Decision | StepDone:
    """What has no position any more. Where that is refused, or fails for long, it is told if it may still stand."""
    rest = replace(state, steps=state.steps[1:])
    match seen:
        case Done() | NotStanding():  # closePosition: it goes with the position by itself
            return StepDone(rest)
        case Woke():
            return _do(state)
        case Refused() if state.phase is Phase.ACTING and state.tries + 1 >= _CANCEL_REFUSALS_MAX:
            return Decision(replace(state, phase=Phase.VERIFYING), FindProtection(step.symbol, step.client_id))
        case Unsent(wait_ms=wait_ms) if wait_ms:
            return Decision(state, Sleep(now_ms + max(wait_ms, backoff_ms(0))))
        case _ if isinstance(seen, Standing) or state.tries + 1 >= _CANCEL_TRIES_MAX:
            failure = state.trade.failure or failed(why.caused(Reason.PROTECTION_LEFT, state.cause))
            return StepDone(rest.with_trade(failure=failure))
        case _:
            return _later(state, now_ms)


def _settling(work: Work, state: State, step: Settle, seen: Observation, now_ms: int) -> Decision | StepDone:
    """What a closed position earned. That may not be told for a while and is left open then: the lane goes on."""
    rest, market = replace(state, steps=state.steps[1:]), work.job.config.market_type
    match step, seen:
        case Settle(position, exits, _, earlier), Settled(reason):
            if earlier:  # it is of what was left; the whole is not known
                seen = Settled(reason, None, None)
            # closed by other hands than this step's, or by one protection: the sibling is still to be taken away
            remains = (
                () if exits else tuple(CancelProtection(position.symbol, name) for _, name in position.protections)
            )
            return StepDone(replace(rest, steps=(*remains, *rest.steps)), (Closed(position, seen),))
        case Settle(position, (), reason, earlier), StillOpen() if (
            reason is CloseReason.UNWOUND or TRAITS[market].locks
        ):  # never left naked
            purpose = Purpose.UNWIND if reason is CloseReason.UNWOUND else Purpose.EXIT
            again = replace(leave(market, position, purpose, reason), earlier_order_ids=earlier)
            again_ms = now_ms + backoff_ms(state.attempt)
            return Decision(replace(state, steps=(again, *rest.steps), intent=None), Sleep(again_ms))
        case Settle(position, (), reason, earlier), StillOpen() if state.attempt < _TRIES_MAX + 2:
            again = replace(leave(market, position, Purpose.EXIT, reason), earlier_order_ids=earlier)
            return StepDone(replace(rest, steps=(again, *rest.steps)))
        case Settle(_, (), _), StillOpen():
            failure = failed(why.caused(Reason.CLOSE_REFUSED, state.cause))
            return StepDone(placing.without_entry(rest).with_trade(failure=failure))
        case _, Woke():
            return _do(state)
        case _, Unsent(wait_ms=wait_ms) if wait_ms:
            return Decision(state, Sleep(now_ms + max(wait_ms, backoff_ms(0))))
        case Settle(position, (_, *_), reason), _ if state.tries + 1 >= _TRIES_MAX:
            return StepDone(rest, (Closed(position, Settled(reason, None, None)),))
        case _:
            return _later(state, now_ms)


def _do(state: State) -> Decision:
    step = state.steps[0]
    assert isinstance(step, SetLeverage | SetMarginType | CancelProtection | Settle), (
        "the others have protocols of their own"
    )
    return Decision(replace(state, phase=Phase.ACTING), Do(step))


def _later(state: State, now_ms: int, wait_ms: int = 0) -> Decision:
    return Decision(replace(state, tries=state.tries + 1), Sleep(now_ms + max(wait_ms, backoff_ms(state.tries))))


def _go_on(work: Work, done: StepDone, now_ms: int, timing: Timing) -> Decision:
    """Begin the next step, or end."""
    done = attention.over(done)
    facts: tuple[Fact, ...] = done.facts
    state = replace(done.state, phase=Phase.ACTING, intent=None, tries=0, absent=0, seen=None)
    step = state.steps[0] if state.steps else None
    if state.trade.order is not None and not state.trade.opened and not isinstance(step, Protection | Oco | AskPrice):
        facts = (*facts, Opened(position_of(state.trade)))
        state = state.with_trade(opened=True)
    match step:
        case None:
            if not state.told:
                facts = (*facts, Finished(state.trade))
            return Decision(replace(state, phase=Phase.DONE, told=True), End(), facts)
        case MarketOrder():
            begun = placing.start(work, state, now_ms, timing)
            if isinstance(begun, StepDone):
                return _go_on(work, StepDone(begun.state, facts), now_ms, timing)
        case Protection() | Oco():
            begun = protecting.start(state, now_ms, timing)
        case Release():
            begun = releasing.start(state)
        case AskPrice():
            begun = _ask_price(state, step)
        case _:
            begun = _do(state)
    return replace(begun, facts=facts)
