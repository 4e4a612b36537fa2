"""Crash at every step: for every effect of an execution, the worker dies before it, and after it with its answer lost.

Each customer's execution is crashed at another step; all run in one house. Whoever claims the row when the lease has
ended must end with exactly one order, protected or flat, and a record that says what is so.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from services.executor import app
from services.executor.exchange.market import Market
from services.executor.perform import Performed, Performer
from services.executor.state import Observation, Work
from services.executor.tests.conftest import Customer, House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.contracts import ExecutionFinished

STEPS = range(1, 13)
WHEN = ("before", "after")


class Crash(Exception):
    """The worker is gone."""


@dataclass
class Crashes:
    """Which execution dies at which of its effects, and what has happened so far."""

    planned: dict[UUID, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    effects: Counter[UUID] = field(default_factory=Counter)
    happened: list[str] = field(default_factory=list)

    def strike(self, execution_id: UUID, when: str, effect: Performed) -> None:
        if (self.effects[execution_id], when) in self.planned.get(execution_id, ()):
            self.happened.append(f"{when} {type(effect).__name__}")
            raise Crash


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Crashes:
    crashes = Crashes()

    class Mortal(Performer):
        async def perform(self, exchange: Market, work: Work, effect: Performed) -> Observation:
            crashes.effects[work.job.execution_id] += 1
            crashes.strike(work.job.execution_id, "before", effect)
            observation = await super().perform(exchange, work, effect)
            crashes.strike(work.job.execution_id, "after", effect)
            return observation

    monkeypatch.setattr(app, "Performer", Mortal)
    return crashes


@pytest.fixture
def mortal_house(crashes: Crashes, house: House) -> House:
    """Made after `crashes`, so that its executor is one that dies."""
    return house


async def crash_each(
    house: House, crashes: Crashes, action: str, plans: list[tuple[tuple[int, str], ...]], *, first: str | None = None
) -> list[tuple[Customer, ExecutionFinished]]:
    """Play `action` (after `first`) for one customer per plan, crashing each as planned."""
    customers = [await house.customer() for _ in plans]
    if first:
        opened = await house.signal(first, *customers)
        await asyncio.gather(*(house.finished(execution_id) for execution_id in opened))
    crashes.happened.clear()

    def plan(ids: list[UUID]) -> None:
        crashes.planned.update(zip(ids, plans, strict=True))

    ids = await house.signal(action, *customers, before=plan)
    done = await asyncio.gather(*(house.finished(execution_id, within_s=40) for execution_id in ids))
    return list(zip(customers, done, strict=True))


def single() -> list[tuple[tuple[int, str], ...]]:
    return [((step, when),) for step in STEPS for when in WHEN]


def pairs() -> list[tuple[tuple[int, str], ...]]:
    return [((a, x), (b, y)) for a in range(1, 8) for b in range(a + 1, 9) for x in WHEN for y in WHEN]


async def assert_entry_is_true(house: House, customer: Customer, done: ExecutionFinished, side: str) -> None:
    orders = [row for row in await market_orders(house, customer) if row["side"] == side]
    held, protections = await amount(house, customer), set(await triggers(house, customer))
    if done.status == "success":
        assert len(orders) == 1
        assert held != 0
        assert protections == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
    else:
        assert done.error_code == "not_placed"
        assert not orders
        assert held == 0


@pytest.mark.parametrize("plans", [single(), pairs()], ids=["once", "twice"])
async def test_an_entry_crashed_anywhere_ends_in_one_protected_position_or_none(
    mortal_house: House, crashes: Crashes, plans: Any
) -> None:
    for customer, done in await crash_each(mortal_house, crashes, "buy", plans):
        await assert_entry_is_true(mortal_house, customer, done, "BUY")
    assert {"before Place", "after Place", "before Protect", "after Protect"} <= set(crashes.happened)


async def test_a_close_crashed_anywhere_ends_flat(mortal_house: House, crashes: Crashes) -> None:
    for customer, done in await crash_each(mortal_house, crashes, "close", single(), first="buy"):
        assert done.status in ("success", "skipped")
        assert await amount(mortal_house, customer) == 0
        assert await triggers(mortal_house, customer) == {}
        assert len(await market_orders(mortal_house, customer)) == 2
    assert {"before Place", "after Place"} <= set(crashes.happened)
    assert len(mortal_house.closed()) == len(single())


async def test_a_reversal_crashed_anywhere_ends_on_the_other_side_or_flat(
    mortal_house: House, crashes: Crashes
) -> None:
    for customer, done in await crash_each(mortal_house, crashes, "sell", single(), first="buy"):
        held, protections = await amount(mortal_house, customer), set(await triggers(mortal_house, customer))
        if done.status == "success":
            assert held < 0
            assert protections == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
        else:
            assert done.error_code == "not_placed"
            assert held == 0
            assert not protections
    assert crashes.happened
