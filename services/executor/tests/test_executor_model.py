"""Every world that the placement protocol can reach, searched breadth-first over the production `decide`.

No reachable world has two entries, more sold than held, a naked end or an untrue record; without any one rule a wrong
one is reached, and its shortest path is printed. Without P2, P3 or P4 an *entry* is not doubled but untruly recorded:
P5 forbids the second attempt that would double it. A close, which is tried again, is doubled without P2 or P3.
"""

from collections import deque
from dataclasses import dataclass, replace

import pytest

from services.executor import machine
from services.executor.state import Absent, Decision, Observation, Refused, State, Uncertain, Unsent, Work
from services.executor.tests.protocol_world import MARGIN, NOBODY, RECV, Label, Model, World
from services.executor.timing import Timing
from shared.contracts import Action


@dataclass
class Found:
    """What a search came to: the worlds seen and the records reached, or the shortest way to a wrong one."""

    worlds: int
    records: set[str | None]
    wrong: str | None = None
    path: tuple[str, ...] = ()


def search(model: Model, sought: str = "") -> Found:
    """Every reachable world, up to the first that is wrong in the way sought, or in any."""
    first = model.first()
    came_from: dict[World, tuple[World, Label] | None] = {first: None}
    records: set[str | None] = set()
    queue = deque([first])
    while queue:
        world = queue.popleft()
        if world.record:
            records.add(world.record[1])
        wrong = model.wrong(world)
        if wrong and sought in wrong:
            return Found(len(came_from), records, wrong, path_to(world, came_from))
        for label, step in model.steps(world):
            then = canonical(step)
            if then not in came_from:
                came_from[then] = (world, label)
                queue.append(then)
    return Found(len(came_from), records)


def canonical(world: World) -> World:
    """The same world with its executors and requests in order: which of them is which makes no difference."""
    order = sorted(range(len(world.workers)), key=lambda i: (world.workers[i] is None, world.workers[i] or ()))
    place = {index: position for position, index in enumerate(order)} | {NOBODY: NOBODY}
    requests = sorted(r._replace(waiter=place[r.waiter]) for r in world.requests)
    return world._replace(workers=tuple(world.workers[i] for i in order), requests=tuple(requests))


def path_to(world: World, came_from: dict[World, tuple[World, Label] | None]) -> tuple[str, ...]:
    path = []
    while (step := came_from[world]) is not None:
        world, label = step
        path.append(" ".join(map(str, label)))
    return tuple(reversed(path))


@pytest.mark.parametrize(
    ("model", "records"),
    [
        (
            Model(Action.BUY, horizon=5, faults=1),
            {None, "not_placed", "expired", "unprotected_closed", "take_profit_missing", "insufficient_margin"},
        ),
        (Model(Action.CLOSE, horizon=5, faults=2), {None}),
        (Model(Action.BUY, workers=3, horizon=4, faults=0), {None, "not_placed", "expired"}),
        (Model(Action.SELL, reverses=True, horizon=5, faults=0), {None, "not_placed", "expired"}),
        (Model(Action.SELL, reverses=True, hedge=True, horizon=4, faults=0), {None, "expired"}),
        (Model(Action.CLOSE, hedge=True, horizon=4, faults=1), {None}),
    ],
    ids=["entry", "close", "entry with three executors", "reversal", "hedged reversal", "hedged close"],
)
def test_no_reachable_world_has_two_orders_a_naked_position_or_an_untrue_record(
    model: Model, records: set[str | None]
) -> None:
    found = search(model)
    print(f"{found.worlds} worlds")
    assert found.wrong is None, "\n".join((found.wrong or "", *found.path))
    assert found.worlds > 10_000
    assert found.records >= records, "the search reaches every way to end"


def believing_absence_at_once(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if isinstance(seen, Absent):
        state, seen = replace(state, absent=1), Absent(asked_ms=2 * now_ms)
    return machine.decide(work, state, seen, now_ms, timing)


def taking_uncertain_for_refused(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if isinstance(seen, Uncertain):
        seen = Refused(seen.why)
    return machine.decide(work, state, seen, now_ms, timing)


def sending_an_uncertain_entry_again(
    work: Work, state: State, seen: Observation, now_ms: int, timing: Timing
) -> Decision:
    if isinstance(seen, Uncertain) and state.intent is not None:
        seen = Unsent(seen.why)
    return machine.decide(work, state, seen, now_ms, timing)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (Model(act_before_saving=True, faults=0), "two entries were accepted"),
        (Model(stamp_when_sent=True, faults=0), "not_placed"),
        (Model(decide=believing_absence_at_once, faults=1), "not_placed"),
        (Model(decide=taking_uncertain_for_refused, faults=1), "no_answer"),
        (Model(decide=sending_an_uncertain_entry_again, faults=1), "two entries were accepted"),
        (Model(Action.CLOSE, decide=believing_absence_at_once, faults=1), "more was sold than the position"),
        (Model(Action.CLOSE, stamp_when_sent=True, horizon=7, faults=0), "more was sold than the position"),
        (Model(lag=RECV + MARGIN + 3, faults=0), "not_placed"),
    ],
    ids=[
        "without P1",
        "without P2",
        "without P3",
        "without P4",
        "without P5",
        "close without P3",
        "close without P2",
        "queries lagging beyond the margin",
    ],
)
def test_without_any_one_rule_a_wrong_world_is_reached(model: Model, wrong: str) -> None:
    found = search(model, wrong)
    print("\n".join((f"{found.worlds} worlds", *found.path)))
    assert wrong in (found.wrong or ""), f"{found.wrong} after {found.worlds} worlds:\n" + "\n".join(found.path)
