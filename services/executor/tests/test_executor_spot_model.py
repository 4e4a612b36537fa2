"""Every world that a spot execution can reach, searched breadth-first over the production `decide`.

As in `protocol_world`, with another exchange: it has no reduce-only and the customer owns plenty of the coin, so
it takes every sell and every order list that comes in its window, whether we hold anything or not. The price may go
through a standing stop at any moment. What was accepted, and how it ended, shows in queries only after a lag; the
answer to a cancel comes from the matching engine and tells at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from services.executor import machine
from services.executor.orders import AccountView, Balance, Funds, Order, Purpose, Release
from services.executor.state import (
    Absent,
    Decision,
    Do,
    FindProtection,
    NotStanding,
    Observation,
    Place,
    Protect,
    Released,
    Standing,
    State,
    Through,
    Work,
)
from services.executor.tests.machine_builders import uncertain
from services.executor.tests.protocol_world import (
    HELD,
    LATE,
    LOST,
    MARGIN,
    NOBODY,
    POOR,
    PRICE,
    QUANTITY,
    RECV,
    RULES,
    START_MS,
    TAKEN,
    THROTTLED,
    THROUGH,
    Label,
    Model,
    Request,
    Worker,
    World,
    ms,
)
from services.executor.tests.test_executor_model import search
from services.executor.timing import Timing
from shared.contracts import Action, CloseReason, ExecutionStatus

HIDDEN = uncertain()  # the balance tells of an order that queries do not show
BELOW = Through(CloseReason.STOP_LOSS, THROUGH)


@dataclass
class SpotModel(Model):
    """`world.stops` holds every order list: `standing`, `fired` or `canceled`, its name, ticks of its two ends."""

    balance_tells: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        config = self.work.job.config.model_copy(update={"market_type": "spot", "margin_usd": Decimal(1000)})
        self.work = Work(self.work.signal, self.work.job.model_copy(update={"config": config}))
        own = () if self.action is Action.BUY else (HELD,)
        funds = Funds(Balance(Decimal(1), START_MS), Decimal(0))
        self.view = AccountView(False, RULES, PRICE, None, (), own, (), funds=funds)
        self.held = len(own)

    def first(self) -> World:
        stops = frozenset(["standing held-stop 0 0"]) if self.held else frozenset[str]()
        return super().first()._replace(stops=stops)

    def wrong(self, world: World) -> str | None:
        entries, position = self.entries(world), self.position(world)
        if entries > 1:
            return "two entries were accepted"
        if position < 0:
            return "more was sold than was bought"
        if world.record is None:
            return None
        status, code = world.record
        stands = any(row.startswith("standing") for row in world.stops)
        fired = any(row.startswith("fired") for row in world.stops)
        if position and not stands:
            return f"on record as {status} {code}, and naked"
        if stands and not position:
            return f"on record as {status} {code}, sold, and an order list is left behind"
        if self.held:
            return f"on record as {status}, and open" if status is ExecutionStatus.SUCCESS and position else None
        if status is ExecutionStatus.SUCCESS and entries != 1:
            return "on record as a success without an entry"
        if status is not ExecutionStatus.SUCCESS and position:
            return f"on record as {status} {code}, and open"
        if code == "unprotected_closed" and fired:
            return f"on record as {code}, and the stop had sold"
        if code in ("not_placed", "expired", "exchange_unavailable", "insufficient_margin") and entries:
            return f"on record as {code}, and placed"
        return None

    def steps(self, world: World) -> Iterator[tuple[Label, World]]:
        yield from super().steps(world)
        for row in world.stops:
            kind, name, accepted, _ = row.split()
            if kind == "standing":
                sold = (f"leg-of-{name}", Purpose.EXIT, world.clock)
                stops = world.stops - {row} | {f"fired {name} {accepted} {world.clock}"}
                yield ("the price goes through", name), world._replace(orders=(*world.orders, sold), stops=stops)

    # executors

    def _act(self, world: World, index: int, worker: Worker) -> Iterator[tuple[Label, World]]:
        effect = self.things[worker.item].effect
        if not isinstance(effect, Do) or not isinstance(effect.step, Release):
            yield from super()._act(world, index, worker)
            return
        name = _list_of(effect.step)
        row = self._row(world, name)
        canceled = world
        if row and row.startswith("standing"):
            ended = f"canceled {name} {row.split()[2]} {world.clock}"
            canceled = world._replace(stops=world.stops - {row} | {ended})
        for leg in self._leg(canceled, name, told=canceled is not world):
            legs = () if name is None else ((CloseReason.STOP_LOSS, leg),)
            total = Decimal(1) + QUANTITY * self.position(world) / 1
            seen = Released(legs, Decimal(1), Balance(total, START_MS), ms(world.clock))
            yield (index, "releases", name, leg), self._observe(canceled, index, worker, seen)
        if world.faults:
            fewer = world.faults - 1
            yield (index, "releases unheard"), self._observe(canceled._replace(faults=fewer), index, worker, LOST)
            yield (index, "is throttled"), self._observe(world._replace(faults=fewer), index, worker, THROTTLED)

    @staticmethod
    def _row(world: World, name: str | None) -> str | None:
        return next((row for row in world.stops if row.split()[1] == name), None)

    def _leg(self, world: World, name: str | None, *, told: bool) -> Iterator[Order | None]:
        """What may be told of a list's stop: a query may lag behind its acceptance and behind its end."""
        row = self._row(world, name)
        if row is None:
            yield None
            return
        kind, _, accepted, tick = row.split()
        sold = QUANTITY if kind == "fired" else Decimal(0)
        status = {"fired": "FILLED", "canceled": "CANCELED", "standing": "NEW"}[kind]
        yield Order("leg", status, sold, PRICE if sold else None, START_MS)
        if not told and kind != "standing" and world.clock < int(tick) + self.lag:
            yield Order("leg", "NEW", Decimal(0), None, START_MS)
        if not told and world.clock < int(accepted) + self.lag:
            yield None

    def _answer(self, world: World, index: int, worker: Worker) -> Iterator[tuple[Label, World]]:
        effect = self.things[worker.item].effect
        if isinstance(effect, FindProtection):
            row = self._row(world, effect.client_id[:-2] + "o1")
            if row and not row.startswith("canceled"):
                yield (index, "is told it stands"), self._observe(world, index, worker, Standing("s", "t"))
            if row is None or row.startswith("canceled") or world.clock < int(row.split()[2]) + self.lag:
                absent = NotStanding(ms(worker.asked))
                yield (index, "is told", absent), self._observe(world, index, worker, absent)
            return
        taken = [order for order in world.orders if order[0] == effect.client_id]
        for order in taken:
            yield (index, "is told of", order[0]), self._observed(world, index, worker, self.seen(order))
        if all(world.clock < tick + self.lag for _, _, tick in taken):
            said: Observation = HIDDEN if taken and self.balance_tells else Absent(ms(worker.asked))
            yield (index, "is told", said), self._observe(world, index, worker, said)

    # the exchange

    def _arrive(self, world: World, request: Request) -> Iterator[tuple[Label, World]]:
        effect = self.things[request.decision].effect
        name = effect.intent.client_id
        if request.waiter != NOBODY and self._at(world, request).stage != "sent":
            return  # its sender is about to save
        at = world.requests.index(request)
        gone = world._replace(requests=(*world.requests[:at], *world.requests[at + 1 :]))
        if not self._in_window(request, world.clock):
            yield from self._reply((name, "comes too late"), gone, request, self.number(LATE))
            return
        if world.faults and request.waiter != NOBODY:
            faulty = gone._replace(faults=world.faults - 1)
            yield from self._reply((name, "is throttled"), faulty, request, self.number(THROTTLED))
            if isinstance(effect, Protect) or not effect.order.reduce_only:
                no = POOR if isinstance(effect, Place) else BELOW
                yield from self._reply((name, "is refused"), faulty, request, self.number(no))
        if isinstance(effect, Place):
            order = (name, effect.order.purpose, world.clock)
            filled = gone._replace(orders=(*gone.orders, order))
            yield from self._reply((name, "is filled"), filled, request, self.seen(order))
            return
        row = self._row(world, name)
        if row and row.startswith("standing"):
            yield from self._reply((name, "stands already"), gone, request, self.number(TAKEN))
        else:  # a name is free again once its list is over
            stops = (gone.stops - {row} if row else gone.stops) | {f"standing {name} {world.clock} {world.clock}"}
            stands = gone._replace(stops=stops)
            yield from self._reply((name, "stands"), stands, request, self.number(Standing("s", "t")))


def _list_of(step: Release) -> str | None:
    name = step.position.stop_client_id
    return name and (name[:-2] + "o1" if name.endswith("s1") else name)


@pytest.mark.parametrize(
    ("model", "records"),
    [
        (SpotModel(Action.BUY, horizon=4, faults=1), {None, "not_placed", "unprotected_closed", "insufficient_margin"}),
        (SpotModel(Action.CLOSE, horizon=4, faults=2), {None}),
        (SpotModel(Action.SELL, workers=3, horizon=4, faults=0), {None}),
    ],
    ids=["buy", "close", "sell with three executors"],
)
def test_no_reachable_world_has_two_buys_sells_more_than_was_bought_or_ends_naked(
    model: SpotModel, records: set[str | None]
) -> None:
    found = search(model)
    print(f"{found.worlds} worlds")
    assert found.wrong is None, "\n".join((found.wrong or "", *found.path))
    assert found.worlds > 5_000
    assert found.records >= records, "the search reaches every way to end"


def selling_before_it_is_certain(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if isinstance(seen, Released):
        legs = tuple((why, leg and replace(leg, status="CANCELED")) for why, leg in seen.legs)
        seen = replace(seen, legs=legs)
    return machine.decide(work, state, seen, now_ms, timing)


def sending_a_list_again_at_once(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if isinstance(seen, NotStanding):
        seen = NotStanding(now_ms + 60_000)
    return machine.decide(work, state, seen, now_ms, timing)


def believing_absence_at_once(work: Work, state: State, seen: Observation, now_ms: int, timing: Timing) -> Decision:
    if isinstance(seen, Absent):
        state, seen = replace(state, absent=1), Absent(asked_ms=2 * now_ms)
    return machine.decide(work, state, seen, now_ms, timing)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (
            SpotModel(Action.CLOSE, decide=selling_before_it_is_certain, horizon=4, faults=0),
            "more was sold than was bought",
        ),
        (
            SpotModel(Action.BUY, decide=sending_a_list_again_at_once, horizon=4, faults=1),
            "more was sold than was bought",
        ),
        (
            SpotModel(Action.CLOSE, decide=believing_absence_at_once, horizon=4, faults=1),
            "more was sold than was bought",
        ),
        (SpotModel(Action.CLOSE, stamp_when_sent=True, horizon=4, faults=0), "more was sold than was bought"),
        (SpotModel(Action.CLOSE, act_before_saving=True, horizon=4, faults=0), "more was sold than was bought"),
        (
            SpotModel(Action.CLOSE, lag=RECV + MARGIN + 3, horizon=4, faults=1, balance_tells=False),
            "more was sold than was bought",
        ),
    ],
    ids=[
        "a leg not final",
        "a list sent again at once",
        "close without P3",
        "close without P2",
        "close without P1",
        "queries lagging beyond the margin, and no look at the balance",
    ],
)
def test_without_any_one_rule_more_is_sold_than_was_bought(model: SpotModel, wrong: str) -> None:
    found = search(model, wrong)
    print("\n".join((f"{found.worlds} worlds", *found.path)))
    assert wrong in (found.wrong or ""), f"{found.wrong} after {found.worlds} worlds:\n" + "\n".join(found.path)


def test_the_balance_tells_of_a_sell_that_queries_hide_for_longer_than_the_margin() -> None:
    found = search(SpotModel(Action.CLOSE, lag=RECV + MARGIN + 3, horizon=4, faults=1))
    assert found.wrong is None, "\n".join((found.wrong or "", *found.path))
