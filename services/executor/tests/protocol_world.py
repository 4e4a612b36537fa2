"""The world of the placement protocol, over the production `decide`: who is in it, and what can happen next.

There are executors that may crash, freeze and be replaced while they still live; requests that may be delayed, lost,
refused, or answered into the void; an exchange that fills every market order it accepts at once, accepts a request
while its clock is not past the request's window (P2), and whose order queries may lag behind. Whatever can happen
next does: each step of each of them is one transition, and the clock ticks between any two. Executors freeze and
requests linger as often as they like; what is lost, refused or broken counts as a fault, of which a world has few.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from services.executor import machine
from services.executor.orders import AccountView, CancelProtection, Order, Position, Purpose, Settle, SymbolRules
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
    Place,
    Prepare,
    Prepared,
    Protect,
    Seen,
    Settled,
    Sleep,
    Standing,
    State,
    Woke,
    Work,
)
from services.executor.tests.machine_builders import refused, uncertain, unsent
from services.executor.timing import Timing
from shared.clock import from_ms
from shared.contracts import Action, ExecutionStatus, Job, Signal, TradeConfig

TICK_MS = 1_000
START_MS = 1_000_000_000
TIMING = Timing(recv_window_ms=1_000, lag_margin_ms=1_000, ask_again_ms=1_000, naked_max_ms=2_000)
RECV, MARGIN, LEASE = 1, 1, 2  # ticks
QUANTITY, PRICE = Decimal("0.010"), Decimal(100_000)
RULES = SymbolRules("BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(100), Decimal(50))
HELD = Position(
    id=UUID(int=9),
    symbol="BTCUSDT",
    direction="long",
    position_side="BOTH",
    quantity=QUANTITY,
    entry_price=PRICE,
    entry_order_id="1",
    opened_at_ms=START_MS,
    stop_client_id="held-stop",
    stop_order_id="2",
    stop_price=Decimal(98_000),
)
LATE, THROTTLED = unsent(code=-1021), unsent()
LOST, TAKEN = uncertain(), uncertain(-4116)
POOR, FLAT = refused(-2019), unsent(code=-4509)
THROUGH = refused(-2021)

NOBODY = -1
Label = tuple[object, ...]
Decide = Callable[[Work, State, Observation, int, Timing], Decision]


def work_of(action: Action) -> Work:
    config = TradeConfig(
        market_type="futures",
        leverage=10,
        margin_usd=Decimal(100),
        stop_loss_pct=Decimal(2),
        take_profit_pct=Decimal(4),
        max_daily_loss_usd=None,
        max_concurrent_positions=None,
        on_opposite="reverse",
        max_entries_per_symbol=1,
    )
    signal = Signal(
        signal_id=UUID(int=1),
        bot_id=UUID(int=2),
        action=action,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=PRICE,
        source_ip="127.0.0.1",
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        body_digest="",
    )
    job = Job(
        execution_id=UUID(int=3),
        subscription_id=UUID(int=4),
        user_id=UUID(int=5),
        exchange_account_id=UUID(int=6),
        environment="paper",
        sealed_credentials="",
        sequence=1,
        config=config,
        expires_at=from_ms(ms(4)) if action.is_entry else None,
    )
    return Work(signal, job)


def ms(tick: int) -> int:
    return START_MS + tick * TICK_MS


class Worker(NamedTuple):
    """An executor at work on the row. `owns`: the row still has the version that this executor knows."""

    stage: str  # observed, decided, saved, sent, asked
    state: int
    owns: bool
    item: int  # what was observed, else what was decided
    asked: int = 0  # tick


class Request(NamedTuple):
    """On its way to the exchange; `waiter` is whoever waits for the answer."""

    decision: int
    stamp_ms: int
    waiter: int  # or nobody


class World(NamedTuple):
    """States, observations and decisions by their numbers, because worlds are compared by the hundred thousand."""

    clock: int
    state: int
    wake: int  # tick
    record: tuple[ExecutionStatus, str | None] | None
    workers: tuple[Worker | None, ...]
    requests: tuple[Request, ...]
    orders: tuple[tuple[str, Purpose, int], ...]  # accepted: name, purpose, tick
    stops: frozenset[str]  # protections that stand, by name
    faults: int  # yet to come


@dataclass
class Model:
    """The transitions; the options are the mutilations."""

    action: Action = Action.BUY
    reverses: bool = False  # a long position is there before an entry too, and the action is to sell
    hedge: bool = False
    decide: Decide = machine.decide
    workers: int = 2
    horizon: int = 8
    faults: int = 2
    lag: int = MARGIN
    stamp_when_sent: bool = False
    act_before_saving: bool = False

    def __post_init__(self) -> None:
        self.work = work_of(self.action)
        held = replace(HELD, position_side="LONG") if self.hedge else HELD
        own = (held,) if self.reverses or not self.action.is_entry else ()
        self.view = AccountView(self.hedge, RULES, PRICE, 10, (), own, ())
        self.held = len(own)
        self.things: list[Any] = []
        self.numbers: dict[Any, int] = {}
        self.decided = cache(self._decided)
        self.seen = cache(self._seen)

    def number(self, thing: object) -> int:
        number = self.numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number

    def _decided(self, state: int, seen: int, tick: int) -> tuple[int, int]:
        decision = self.decide(self.work, self.things[state], self.things[seen], ms(tick), TIMING)
        decision = replace(decision, state=replace(decision.state, cause=None))  # only worded, nothing follows from it
        return self.number(decision.state), self.number(decision)

    def _seen(self, order: tuple[str, Purpose, int]) -> int:
        return self.number(Seen(Order(order[0], "FILLED", QUANTITY, PRICE, ms(order[2]))))

    def first(self) -> World:
        stops = frozenset(["held-stop"]) if self.held else frozenset[str]()
        return World(0, self.number(State()), 0, None, (None,) * self.workers, (), (), stops, self.faults)

    def entries(self, world: World) -> int:
        return sum(purpose is Purpose.ENTRY for _, purpose, _ in world.orders)

    def left(self, world: World) -> int:
        """What is left of the position from before."""
        return self.held - sum(purpose is Purpose.EXIT for _, purpose, _ in world.orders)

    def opened(self, world: World) -> int:
        """What is left of the position that was entered."""
        return self.entries(world) - sum(purpose is Purpose.UNWIND for _, purpose, _ in world.orders)

    def position(self, world: World) -> int:
        return self.left(world) + self.opened(world)

    def wrong(self, world: World) -> str | None:
        """What the world should never be."""
        entries, left, opened = self.entries(world), self.left(world), self.opened(world)
        if entries > 1:
            return "two entries were accepted"
        if left < 0 or opened < 0:
            return "more was sold than the position"
        if left and entries:
            return "entered before the position from before was closed"
        if world.record is None:
            return None
        status, code = world.record
        stop_stands = any(name.endswith(("s1", "s2", "held-stop")) for name in world.stops)
        if (left or opened) and not stop_stands:
            return f"on record as {status} {code}, and naked"
        if status is ExecutionStatus.SUCCESS:
            if left:
                return "on record as a success, and the position from before is open"
            return None if entries == self.action.is_entry else "on record as a success without its entry"
        if opened and code != "take_profit_missing":
            return f"on record as {status} {code}, and open"
        if code in ("not_placed", "expired", "exchange_unavailable", "insufficient_margin") and entries:
            return f"on record as {code}, and placed"
        return None

    def steps(self, world: World) -> Iterator[tuple[Label, World]]:
        if world.clock < self.horizon:
            clock = world.clock + 1
            # a copy that nobody waits for and that can only be refused has no effect any more
            alive = tuple(r for r in world.requests if r.waiter != NOBODY or self._in_window(r, clock))
            yield ("tick",), world._replace(clock=clock, requests=alive)
        for index, worker in enumerate(world.workers):
            if worker is None:
                if world.record is None and world.wake <= world.clock:
                    yield (index, "claims"), self._claim(world, index)
                continue
            if world.faults and worker.stage != "observed":  # else as if it had never been told
                crashed = self._unheard(world, index)._replace(faults=world.faults - 1)
                yield (index, "crashes"), self._set(crashed, index, None)
            yield from self._work(world, index, worker)
        for request in world.requests:
            yield from self._arrive(world, request)

    # executors: as runner and store do

    def _claim(self, world: World, index: int) -> World:
        mine = Worker("observed", world.state, True, self.number(Woke()))
        return self._set(self._disown(world, index), index, mine)._replace(wake=world.clock + LEASE)

    def _work(self, world: World, index: int, worker: Worker) -> Iterator[tuple[Label, World]]:
        match worker.stage:
            case "observed":
                state, number = self.decided(worker.state, worker.item, world.clock)
                decision = self.things[number]
                stage = "decided" if decision.must_be_stored and not self._early(decision) else "saved"
                label = (index, "saw", self.things[worker.item], "and decides to", decision.effect)
                yield label, self._set(world, index, Worker(stage, state, worker.owns, number))
            case "decided" if not worker.owns:
                yield (index, "stands down"), self._set(self._unheard(world, index), index, None)
            case "decided":
                yield (index, "saves"), self._save(world, index, worker)
            case "saved":
                yield from self._act(world, index, worker)
            case "sent" if world.faults:
                unheard = self._unheard(world, index)._replace(faults=world.faults - 1)
                yield (index, "waits no longer"), self._observe(unheard, index, worker, LOST)
            case "asked":
                yield from self._answer(world, index, worker)

    def _early(self, decision: Decision) -> bool:
        return self.act_before_saving and isinstance(decision.effect, Place)

    def _save(self, world: World, index: int, worker: Worker) -> World:
        decision = self.things[worker.item]
        effect = decision.effect
        wake = -((START_MS - effect.until_ms) // TICK_MS) if isinstance(effect, Sleep) else world.clock + LEASE
        record = world.record
        for fact in decision.facts:
            if isinstance(fact, Finished):
                assert record is None, "told once"
                failure = fact.trade.failure
                record = (failure.status, failure.code) if failure else (ExecutionStatus.SUCCESS, None)
        after: Worker | None = worker._replace(stage="saved")
        if isinstance(effect, Sleep | End):
            after = None
        elif self._early(decision):
            after = worker._replace(stage="sent")
        world = world._replace(state=worker.state, wake=wake, record=record)
        return self._set(self._disown(world, index), index, after)

    def _act(self, world: World, index: int, worker: Worker) -> Iterator[tuple[Label, World]]:
        decision = self.things[worker.item]
        match decision.effect:
            case Prepare():
                yield (index, "reads the account"), self._observe(world, index, worker, Prepared(self.view))
            case Place(_, intent) | Protect(_, intent):
                stamp_ms = ms(world.clock) if self.stamp_when_sent else intent.stamp_ms
                sent = world._replace(requests=(*world.requests, Request(worker.item, stamp_ms, index)))
                stage = "decided" if self._early(decision) else "sent"
                yield (index, "sends", intent.client_id), self._set(sent, index, worker._replace(stage=stage))
            case Find() | FindProtection():
                yield (index, "asks"), self._set(world, index, worker._replace(stage="asked", asked=world.clock))
            case Do(step):
                done: Observation = Done()
                if isinstance(step, CancelProtection):
                    world = world._replace(stops=world.stops - {step.client_id})
                elif isinstance(step, Settle):
                    done = Settled(step.reason, PRICE, Decimal(0))
                yield (index, "does", step), self._observe(world, index, worker, done)

    def _answer(self, world: World, index: int, worker: Worker) -> Iterator[tuple[Label, World]]:
        name = self.things[worker.item].effect.client_id
        if isinstance(self.things[worker.item].effect, FindProtection):
            stands = Standing(name) if name in world.stops else NotStanding()
            yield (index, "is told", stands), self._observe(world, index, worker, stands)
            return
        taken = [order for order in world.orders if order[0] == name]
        for order in taken:
            yield (index, "is told of", name), self._observed(world, index, worker, self.seen(order))
        if all(world.clock < tick + self.lag for _, _, tick in taken):
            absent = Absent(ms(worker.asked))
            yield (index, "is told", absent), self._observe(world, index, worker, absent)

    # the exchange

    def _in_window(self, request: Request, clock: int) -> bool:
        return ms(clock) <= request.stamp_ms + TIMING.recv_window_ms

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
            if not (isinstance(effect, Place) and effect.order.reduce_only):
                no = POOR if isinstance(effect, Place) else THROUGH
                yield from self._reply((name, "is refused"), faulty, request, self.number(no))
        if isinstance(effect, Place):
            order = (name, effect.order.purpose, world.clock)
            filled = gone._replace(orders=(*gone.orders, order))
            if not self.position(filled):
                filled = filled._replace(stops=frozenset())  # closePosition: the exchange takes them away with it
            yield from self._reply((name, "is filled"), filled, request, self.seen(order))
        elif not self.position(world):
            yield from self._reply((name, "finds no position"), gone, request, self.number(FLAT))
        elif name in world.stops:
            yield from self._reply((name, "stands already"), gone, request, self.number(TAKEN))
        else:
            stands = gone._replace(stops=world.stops | {name})
            yield from self._reply((name, "stands"), stands, request, self.number(Standing(name)))

    def _reply(self, label: Label, world: World, request: Request, seen: int) -> Iterator[tuple[Label, World]]:
        if request.waiter == NOBODY:
            yield label, world
            return
        worker = self._at(world, request)
        yield label, self._observed(world, request.waiter, worker, seen)
        if world.faults:
            unheard = self._observe(world, request.waiter, worker, LOST)
            yield (*label, "unheard"), unheard._replace(faults=world.faults - 1)

    # tuples

    @staticmethod
    def _at(world: World, request: Request) -> Worker:
        worker = world.workers[request.waiter]
        assert worker is not None, "who waits is at work"
        return worker

    @staticmethod
    def _set(world: World, index: int, worker: Worker | None) -> World:
        workers = world.workers
        return world._replace(workers=(*workers[:index], worker, *workers[index + 1 :]))

    def _observe(self, world: World, index: int, worker: Worker, seen: Observation) -> World:
        return self._observed(world, index, worker, self.number(seen))

    def _observed(self, world: World, index: int, worker: Worker, seen: int) -> World:
        return self._set(world, index, Worker("observed", worker.state, worker.owns, seen))

    @staticmethod
    def _disown(world: World, index: int) -> World:
        """The row's version is another now: no other executor can save."""
        others = (w and w._replace(owns=w.owns and i == index) for i, w in enumerate(world.workers))
        return world._replace(workers=tuple(others))

    @staticmethod
    def _unheard(world: World, index: int) -> World:
        requests = (r._replace(waiter=NOBODY) if r.waiter == index else r for r in world.requests)
        return world._replace(requests=tuple(requests))
