"""The projection, purely: order and repetition of facts make no difference."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.projection import ReadModel, project, settled
from services.ledger.tests.ledger_builders import (
    BOT,
    T0,
    attended,
    closed,
    dispatched,
    entries_allowed,
    entries_stopped,
    finished,
    needed,
    opened,
    received,
    subscribed,
)
from shared.contracts import ExecutionStatus, Message, SignalSettled

SIGNALS = [UUID(int=number) for number in (1, 2, 3)]
STATUSES = list(ExecutionStatus)

FACTS: list[Message] = [
    *(received(signal_id) for signal_id in SIGNALS),
    *(dispatched(signal_id, total) for signal_id, total in zip(SIGNALS, (4, 0, 2), strict=True)),
    *(finished(SIGNALS[0], UUID(int=number), status=STATUSES[number % 3]) for number in range(4)),
    finished(SIGNALS[2], UUID(int=9)),  # the second of its two never comes
    opened(UUID(int=11), UUID(int=1)),
    closed(UUID(int=11), UUID(int=1)),
    opened(UUID(int=12), UUID(int=2)),
    subscribed(UUID(int=21)),
    subscribed(UUID(int=21), status="deleted"),
    subscribed(UUID(int=22), status="paused"),
    entries_stopped(UUID(int=31)),
    entries_allowed(UUID(int=31)),
    entries_stopped(UUID(int=32)),
    needed(UUID(int=41), SIGNALS[2]),
    attended(UUID(int=41), SIGNALS[2]),
    needed(UUID(int=42), SIGNALS[2]),
]


def play(batches: list[list[Message]]) -> tuple[ReadModel, list[SignalSettled]]:
    """What a database would hold after these batches, and every message that left."""
    model, left = ReadModel(), []
    for batch in batches:
        after = project(model, batch)
        left += settled(model, after, batch, T0)
        model.sealed |= {execution.execution_id for execution in after.executions}
        model.executions += after.executions
        model.signals |= after.signals
        model.positions |= after.positions
        model.subscriptions |= after.subscriptions
        model.stops |= after.stops
        model.attentions |= after.attentions
    return model, left


@given(st.data())
def test_any_order_with_any_duplicates_gives_the_same_read_model_and_settles_once(data: st.DataObject) -> None:
    facts = data.draw(st.permutations(FACTS + data.draw(st.lists(st.sampled_from(FACTS), max_size=10))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(facts)), max_size=5)))
    batches = [list(facts[a:b]) for a, b in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
    model, left = play(batches)
    expected, _ = play([FACTS])
    assert (model.signals, model.positions, model.subscriptions, model.stops, model.sealed, model.attentions) == (
        expected.signals,
        expected.positions,
        expected.subscriptions,
        expected.stops,
        expected.sealed,
        expected.attentions,
    )
    assert len(model.executions) == len(model.sealed)
    # told a second time only to a sender who asks, by telling the signal a second time
    assert sorted({message.signal_id for message in left}) == SIGNALS[:2]
    assert len({message.id for message in left}) == 2
    assert len(left) <= 2 + facts.count(FACTS[0]) + facts.count(FACTS[1])


def test_a_signal_says_how_many_of_its_executions_need_attention() -> None:
    model, _ = play([FACTS])
    assert [model.signals[signal_id].needing_attention for signal_id in SIGNALS] == [0, 0, 1]


def test_a_settled_signal_tells_its_counts() -> None:
    _, left = play([FACTS])
    first = next(message for message in left if message.signal_id == SIGNALS[0])
    counts = (first.successful_executions, first.failed_executions, first.skipped_executions)
    assert (first.bot_id, first.total_subscribers, counts) == (BOT, 4, (2, 1, 1))


def test_a_settled_signal_that_is_told_again_is_answered_again() -> None:
    _, left = play([FACTS, [dispatched(SIGNALS[0], 4)], [received(SIGNALS[0])]])
    assert [message.signal_id for message in left if message.signal_id == SIGNALS[0]] == [SIGNALS[0]] * 2


def test_a_lost_signal_is_known_from_its_dispatching() -> None:
    lost = received(SIGNALS[0])
    fact = dispatched(SIGNALS[0], 1).model_copy(update={"signal": lost.signal})
    assert play([[fact]])[0] == play([[lost], [dispatched(SIGNALS[0], 1)]])[0]


def test_a_signal_without_subscribers_settles_at_once() -> None:
    _, left = play([[dispatched(SIGNALS[1], 0)]])
    assert [message.total_subscribers for message in left] == [0]


def test_what_does_not_concern_the_ledger_changes_nothing() -> None:
    _, left = play([FACTS])
    after = project(ReadModel(), left)
    assert after == ReadModel()
