"""Executions that cannot be resolved within their bound: told once when it begins and ends, and a person's word heeded.

Nothing is guessed meanwhile: the machine goes on asking, its lane stays closed. A person who has looked at the exchange
may know what we cannot ask:

    not_placed       an entry: ends as not placed; an order that closes: sent anew, under a new name
    closed_by_hand   the person has closed what there was and cancelled its protections: nothing more is done
    look_again       asked at once
"""

from dataclasses import replace

from services.executor import why
from services.executor.orders import MarketOrder, Position, Purpose, Release, Settle
from services.executor.placing import without_entry
from services.executor.state import (
    Attention,
    AttentionBegan,
    AttentionOver,
    Closed,
    Decision,
    Fact,
    Observation,
    Opened,
    Phase,
    Refused,
    Settled,
    State,
    StepDone,
    Unserved,
    failed,
    position_of,
)
from shared.contracts import CloseReason, Doubt, Verdict
from shared.reasons import Reason


def noted(decision: Decision, seen: Observation, now_ms: int) -> Decision:
    """The same decision; where attention is needed from now on, it says so."""
    state = decision.state
    is_needed = state.phase is Phase.NEEDS_ATTENTION or isinstance(seen, Unserved)
    if not is_needed or state.attention is not None or not state.steps:
        return decision
    step = state.steps[0]
    client_id = state.intent.client_id if state.intent else None
    began = Attention(now_ms, _doubt(state, seen), step.symbol if isinstance(step, MarketOrder) else None, client_id)
    return replace(decision, state=replace(state, attention=began), facts=(*decision.facts, AttentionBegan(began)))


def _doubt(state: State, seen: Observation) -> Doubt:
    if isinstance(seen, Unserved):
        return Doubt.ENVIRONMENT_UNAVAILABLE
    if isinstance(seen, Refused) and seen.why.reason is Reason.KEY_UNREADABLE:
        return Doubt.KEY_UNREADABLE
    return Doubt.ORDER_UNKNOWN if state.intent is not None else Doubt.CLOSE_NOT_TAKEN


def over(done: StepDone) -> StepDone:
    """The same; where attention was needed for the step that is done, it says that it no longer is."""
    attention = done.state.attention
    if attention is None:
        return done
    return StepDone(replace(done.state, attention=None), (*done.facts, AttentionOver(attention)))


def heed(state: State) -> State | StepDone:
    """What follows from a person's word, for an execution that needs attention; the word is then used up."""
    said, attention = state.said, state.attention
    state = replace(state, said=None)
    if said is None or attention is None or said.verdict is Verdict.LOOK_AGAIN:
        return state
    step = state.steps[0]
    by_person = replace(state, attention=replace(attention, ended_by=said.by, verdict=said.verdict))
    if said.verdict is Verdict.CLOSED_BY_HAND:
        return _closed_by_hand(by_person)
    if not isinstance(step, MarketOrder) or state.seen is not None:
        return state  # there is no such order in question, or the exchange has shown it: we know better
    if step.purpose is Purpose.ENTRY:
        return StepDone(without_entry(by_person).with_trade(failure=failed(why.by_person(Reason.NOT_PLACED, said.by))))
    return replace(by_person, phase=Phase.ACTING, intent=None)


def _closed_by_hand(state: State) -> StepDone:
    said = state.attention
    assert said is not None, "heeded only where attention is needed"
    assert said.ended_by is not None, "it was a person"
    facts: list[Fact] = []
    gone = {p.id: p for p in (_closes(step) for step in state.steps) if p is not None}
    if state.trade.order is not None and state.trade.position_id is not None:
        held = position_of(state.trade)
        gone[held.id] = held
        if not state.trade.opened:
            facts.append(Opened(held))
    facts += [Closed(position, Settled(CloseReason.EXTERNAL, None, None)) for position in gone.values()]
    failure = failed(why.by_person(Reason.CLOSED_BY_HAND, said.ended_by))
    return StepDone(replace(state, steps=()).with_trade(opened=True, failure=failure), tuple(facts))


def _closes(step: object) -> Position | None:
    return step.position if isinstance(step, MarketOrder | Release | Settle) else None
