"""Crash at every step: for every effect of an execution, the worker dies before it, during it, and after it.

"During" leaves the request on its way with nobody to hear the answer; "after" loses the answer with the worker, before
anything of it is saved. Every action in every market mode, once and in pairs; each customer's execution crashes at
another step, and all run in one house. Whoever claims the row when the lease has ended must end with one order at most,
protected or flat, with a record that says what is so, and with what is the customer's own untouched.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from services.executor import app
from services.executor.exchange.market import Market
from services.executor.perform import Performed, Performer
from services.executor.state import Observation, Work
from services.executor.tests.conftest import Customer, House
from services.executor.tests.own import Mode, Own
from shared.contracts import ExecutionFinished
from shared.ids import client_order_id

WHEN = ("before", "during", "after")
PAIRS = 5  # per case, drawn by a fixed seed
AT_ONCE = 40
Plan = tuple[tuple[int, str], ...]


class Crash(Exception):
    """The worker is gone."""


@dataclass
class Crashes:
    """Which execution dies at which of its effects, and what has happened so far."""

    planned: dict[UUID, Plan] = field(default_factory=dict)
    effects: Counter[UUID] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    on_their_way: set["asyncio.Task[Observation]"] = field(default_factory=set)

    def strike(self, execution_id: UUID, when: str, effect: Performed) -> bool:
        planned = (self.effects[execution_id], when) in self.planned.get(execution_id, ())
        self.happened[f"{when} {type(effect).__name__}"] += planned
        return planned


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Crashes:
    crashes = Crashes()

    class Mortal(Performer):
        async def perform(self, exchange: Market, work: Work, effect: Performed) -> Observation:
            id_ = work.job.execution_id
            crashes.effects[id_] += 1
            if crashes.strike(id_, "before", effect):
                raise Crash
            request = asyncio.create_task(super().perform(exchange, work, effect))
            if crashes.strike(id_, "during", effect):
                crashes.on_their_way.add(request)
                await asyncio.sleep(0)
                raise Crash
            observation = await request
            if crashes.strike(id_, "after", effect):
                raise Crash
            return observation

    monkeypatch.setattr(app, "Performer", Mortal)
    return crashes


@pytest.fixture
def mortal_house(crashes: Crashes, house: House) -> House:
    """Made after `crashes`, so that its executor is one that dies."""
    return house


@dataclass(frozen=True)
class Case:
    """An action, after another one, and on which side it ends when all goes well: 1 long, -1 short, 0 flat."""

    first: str | None
    action: str
    side: int

    @property
    def opens(self) -> bool:
        return self.side != 0


FUTURES = (
    Case(None, "buy", 1),
    Case(None, "sell", -1),
    Case("buy", "close", 0),
    Case("sell", "close_all", 0),
    Case("buy", "sell", -1),
    Case("sell", "buy", 1),
)
SPOT = (Case(None, "buy", 1), Case("buy", "sell", 0), Case("buy", "close", 0), Case("buy", "close_all", 0))


@dataclass
class Life:
    """One customer's crashing execution."""

    case: Case
    plan: Plan
    customer: Customer
    done: ExecutionFinished

    def __str__(self) -> str:
        return f"{self.case} {self.plan}: {self.done.status} {self.done.error_code}"


async def lives(house: House, crashes: Crashes, own: Own, planned: Iterable[tuple[Case, Plan]]) -> list[Life]:
    """Play each case, crashing as planned, all at once."""
    plans = list(planned)
    customers = await own.customers(house, len(plans))

    at_once = asyncio.Semaphore(AT_ONCE)

    async def live(case: Case, plan: Plan, customer: Customer) -> Life:
        async with at_once:
            if case.first:
                # a machine too busy for the shortened time-outs may miss an entry, and says so: then once more
                while (await house.trade(case.first, customer, **own.config)).status != "success":
                    pass
            ids = await house.signal(
                case.action, customer, **own.config, before=lambda ids: crashes.planned.update({ids[0]: plan})
            )
            return Life(case, plan, customer, await house.finished(ids[0], within_s=40))

    together = (live(case, plan, customer) for (case, plan), customer in zip(plans, customers, strict=True))
    return list(await asyncio.gather(*together))


def at_every_step(case: Case, effects: int, chance: random.Random) -> list[Plan]:
    """Once before, during and after each effect, and some of the pairs."""
    once: list[Plan] = [((step, when),) for step in range(1, effects + 1) for when in WHEN]
    pairs: list[Plan] = [
        ((a, x), (b, y)) for a, x, y in product(range(1, effects + 1), WHEN, WHEN) for b in range(a + 1, effects + 4)
    ]
    return once + chance.sample(pairs, PAIRS)


async def check(house: House, own: Own, life: Life) -> None:
    """What must hold however often the worker died."""
    case, done = life.case, life.done
    state: Any = await house.paper.state(life.customer.api_key)
    mine = client_order_id(done.execution_id, "")
    entries = [row for row in own.orders(state) if row["clientOrderId"].startswith(mine + "e")]
    held, protections = own.held(state), own.protections(state)
    assert len(entries) <= 1, f"{life}: two entries"
    assert own.untouched(state), f"{life}: what is the customer's own was touched"
    if held:
        assert "stop" in protections, f"{life}: naked"
    else:
        assert not protections, f"{life}: flat, and something is left behind"
    if done.status == "success":
        assert (held > 0) - (held < 0) == case.side, f"{life}: ends on the wrong side"
        assert len(entries) == case.opens
        assert not case.opens or protections == {"stop", "target"}
        assert not case.opens or done.exchange_order_id == str(entries[0]["orderId"])
    else:
        assert (done.error_code, case.opens) == ("not_placed", True), f"{life}: not a word that a crash explains"
        assert not entries
        assert held == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("mode", "cases", "database_url"),
    [("one-way", FUTURES, "postgresql"), ("hedge", FUTURES, "postgresql"), ("spot", SPOT, "sqlite")],
    indirect=["database_url"],
    ids=["one-way", "hedge", "spot"],
)
async def test_whatever_step_a_worker_dies_at_there_is_one_protected_position_or_none_and_the_record_says_which(
    mortal_house: House, crashes: Crashes, mode: Mode, cases: tuple[Case, ...]
) -> None:
    own = Own(mode)
    undisturbed = await lives(mortal_house, crashes, own, [(case, ()) for case in cases])
    effects = {life.case: crashes.effects[life.done.execution_id] for life in undisturbed}
    for life in undisturbed:
        assert life.done.status == "success", life
        await check(mortal_house, own, life)
    chance = random.Random(20261122)
    planned = [(case, plan) for case in cases for plan in at_every_step(case, effects[case], chance)]
    lived = await lives(mortal_house, crashes, own, planned)
    for life in lived:
        await check(mortal_house, own, life)
    print(f"{len(lived)} executions, {crashes.happened.total()} crashes: {dict(crashes.happened)}")
    assert len({life.done.status for life in lived}) == 2, "some end placed, some not"
    kinds = ("Prepare", "Place", "Find", "Protect", "Do")
    assert {f"{when} {kind}" for when, kind in product(WHEN, kinds) if kind != "Find"} <= set(+crashes.happened)
    told = [closed.position_id for closed in mortal_house.closed()]
    assert len(set(told)) == len(told) >= sum(life.case.first is not None for life in lived + undisturbed)
    await asyncio.gather(*crashes.on_their_way, return_exceptions=True)
