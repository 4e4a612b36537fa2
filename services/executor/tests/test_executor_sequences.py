"""The machine under every sequence of observations, and its state in the database."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.executor.machine import decide
from services.executor.orders import (
    Balance,
    CancelProtection,
    MarketOrder,
    Oco,
    Order,
    Protection,
    Purpose,
    Release,
    SetLeverage,
    Settle,
    Step,
)
from services.executor.state import (
    Absent,
    Decision,
    Do,
    Done,
    End,
    Find,
    FindProtection,
    Finished,
    NotStanding,
    Observation,
    Phase,
    Place,
    Prepare,
    Protect,
    Refused,
    Released,
    Seen,
    Sleep,
    Standing,
    State,
    StillOpen,
    Through,
    Uncertain,
    Woke,
    Work,
    asked_to_wait_ms,
)
from services.executor.tests.machine_builders import (
    FLAT,
    FULL,
    HELD,
    NOT_YET,
    NOW,
    PRICE,
    QUANTITY,
    SOLD,
    STOPPED,
    THROUGH,
    TIMING,
    uncertain,
    unsent,
    view,
    work_of,
)
from services.executor.why import answered
from shared.contracts import Action, CloseReason
from shared.reasons import Reason

# --- Every sequence of observations ---

PRICES = st.sampled_from([None, PRICE, Decimal("95234.50")])
ORDERS = st.builds(
    Order,
    st.sampled_from(["77", "78"]),
    st.sampled_from(["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "PENDING"]),
    st.sampled_from([Decimal(0), Decimal("0.004"), QUANTITY]),
    PRICES,
    st.integers(NOW, NOW + 1_000),
)
SHORT = replace(HELD, direction="short", id=UUID(int=10))
ETH = replace(HELD, symbol="ETHUSDT", id=UUID(int=11), stop_client_id=None)
VIEWS = st.builds(
    view,
    st.sampled_from([HELD, SHORT, ETH]),
    leverage=st.sampled_from([3, 10]),
    by_hand=st.sampled_from([Decimal(0), Decimal(1), Decimal(-1)]),
    hedge=st.booleans(),
) | st.builds(view, leverage=st.sampled_from([3, 10]), hedge=st.booleans())
CODES = st.sampled_from([-2019, -2021, -2022, -4045, -4061, -4116, -4130, -4509, None])
LEGS = st.tuples(st.sampled_from([CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT]), st.none() | ORDERS)
RELEASED = st.builds(
    Released,
    st.lists(LEGS, max_size=2).map(tuple),
    st.sampled_from([Decimal(0), Decimal("0.006"), QUANTITY, Decimal(1)]),
    st.builds(Balance, st.sampled_from([Decimal(0), QUANTITY, Decimal(1)]), st.integers(NOW, NOW + 100_000)),
    st.integers(NOW, NOW + 100_000),
)
THROUGH_TARGET = Through(CloseReason.TAKE_PROFIT, THROUGH)
OBSERVATIONS: st.SearchStrategy[Observation] = st.one_of(
    st.just(Woke()),
    VIEWS,
    st.builds(Seen, ORDERS),
    st.builds(Absent, st.integers(NOW, NOW + 100_000)),
    st.sampled_from([Standing("s"), NotStanding(), Done(), StillOpen(), SOLD, STOPPED, THROUGH_TARGET, uncertain()]),
    RELEASED,
    CODES.map(lambda code: Refused(answered(Reason.REFUSED, code, ""))),
    st.sampled_from([0, 60_000]).map(unsent),
)
# what the effect can be answered with, so that sequences also get far
ANSWERS: dict[type, st.SearchStrategy[Observation]] = {
    Prepare: VIEWS,
    Place: st.builds(Seen, ORDERS) | st.sampled_from([uncertain(), unsent(), unsent(2_000), FLAT, STOPPED]),
    Find: st.builds(Seen, ORDERS) | st.builds(Absent, st.integers(NOW, NOW + 100_000)),
    Protect: st.sampled_from([Standing("s", "t"), THROUGH_TARGET, NOT_YET, FULL, uncertain(), unsent(2_000), THROUGH]),
    FindProtection: st.just(Standing("s", "t")) | st.builds(NotStanding, st.integers(NOW, NOW + 100_000)),
    Do: st.one_of(st.sampled_from([Done(), SOLD, StillOpen(), uncertain()]), RELEASED),
    Sleep: st.just(Woke()),
    End: st.just(Woke()),
}
WORKS = st.builds(
    work_of,
    st.sampled_from(Action),
    market_type=st.sampled_from(["futures", "spot"]),
    stop_loss_pct=st.sampled_from([None, Decimal(2)]),
    take_profit_pct=st.sampled_from([None, Decimal(4)]),
    max_entries_per_symbol=st.sampled_from([1, 2]),
    on_opposite=st.sampled_from(["reverse", "close", "ignore"]),
)
STATE = TypeAdapter(State)


def lived(data: st.DataObject, work: Work) -> Iterable[tuple[State, Observation, Decision]]:
    """An execution's life under arbitrary observations, most of them answers to what it did."""
    state, now_ms = State(), NOW
    answers: st.SearchStrategy[Observation] = st.just(Woke())
    for _ in range(data.draw(st.integers(1, 40))):
        seen = data.draw(answers | answers | OBSERVATIONS)
        now_ms += data.draw(st.sampled_from([0, 1, 300, 8_000, 61_000]))
        decision = decide(work, state, seen, now_ms, TIMING)
        yield state, seen, decision
        state, answers = decision.state, ANSWERS[type(decision.effect)]


@settings(max_examples=300, deadline=None)
@given(st.data(), WORKS)
def test_every_observation_in_every_state_is_decided(data: st.DataObject, work: Work) -> None:
    finished: list[Finished] = []
    placed: list[Place] = []
    unsure: set[str] = set()
    waited = 0
    for before, seen, decision in lived(data, work):
        state, effect = decision.state, decision.effect
        # what the database keeps is what was decided
        assert STATE.validate_json(STATE.dump_json(state)) == state
        # P1
        assert decision.must_be_stored or not isinstance(effect, Place | Protect)
        if isinstance(effect, Place | Protect):
            assert state.intent == effect.intent
        if isinstance(effect, Place):
            placed.append(effect)
        finished += [fact for fact in decision.facts if isinstance(fact, Finished)]
        assert isinstance(effect, End) == (state.phase is Phase.DONE) == bool(finished)
        if before.phase is Phase.DONE:
            assert (state, decision.facts) == (before, ())
        step = before.steps[0] if before.steps else None
        if isinstance(step, MarketOrder) and step.purpose is Purpose.ENTRY and before.intent:
            acting = before.phase is Phase.ACTING
            waited += acting and asked_to_wait_ms(seen) > 0
            if isinstance(seen, Woke | Uncertain) and acting:
                unsure.add(before.intent.client_id)
            # P5: after an uncertain entry there is no other
            if unsure and isinstance(effect, Place):
                assert effect.order.purpose is not Purpose.ENTRY
    assert len(finished) <= 1
    assert len(unsure) <= 1
    names = [place.intent.client_id for place in placed]
    assert len(set(names)) == len(names), "a new attempt has a new name"
    assert all(len(name) <= 36 for name in names)
    assert sum(place.order.purpose is Purpose.ENTRY for place in placed) <= 6 + waited


STOP = Protection(CloseReason.STOP_LOSS, "BTCUSDT", "SELL", "BOTH", PRICE, QUANTITY, "s1")
TARGET = replace(STOP, reason=CloseReason.TAKE_PROFIT, client_id="t1")
STEPS: list[Step] = [
    SetLeverage("BTCUSDT", 10),
    MarketOrder(Purpose.EXIT, "BTCUSDT", "SELL", "BOTH", QUANTITY, HELD, CloseReason.UNWOUND, ("1", "2")),
    MarketOrder(Purpose.ENTRY, "BTCUSDT", "BUY", "LONG", Decimal("1E+2")),
    Protection(CloseReason.STOP_LOSS, "BTCUSDT", "SELL", "BOTH", PRICE, None, "s1"),
    Protection(CloseReason.TAKE_PROFIT, "BTCUSDT", "SELL", "BOTH", PRICE, QUANTITY, "t1"),
    Oco(STOP, TARGET, "o1"),
    Release(HELD, Purpose.UNWIND, CloseReason.UNWOUND, ("1",), NOW, begun=True),
    MarketOrder(
        Purpose.EXIT, "BTCUSDT", "SELL", "BOTH", QUANTITY, HELD, before=Balance(QUANTITY, NOW), spend=Decimal(1)
    ),
    CancelProtection("BTCUSDT", "s1"),
    Settle(HELD, (), CloseReason.SIGNAL),
    Settle(ETH, ("1", "2"), CloseReason.EXTERNAL),
]


def test_every_kind_of_step_survives_the_database() -> None:
    state = State(steps=tuple(STEPS))
    assert STATE.validate_json(STATE.dump_json(state)) == state
    assert [type(step) for step in STATE.validate_json(STATE.dump_json(state)).steps] == [type(s) for s in STEPS]
