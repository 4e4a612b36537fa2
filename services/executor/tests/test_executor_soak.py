"""A state machine that plays with executors in slow motion: signals, redelivery, reordering, crashes, lost and late
requests, faults, frozen workers that wake, stops that fire, a customer who closes by hand.

After every step and at the end: one entry per execution at most, never more held than one entry, protected or flat once
all is quiet, and records that say what the exchange says. SOAK_EXAMPLES and SOAK_STEPS lengthen it (`make soak`); what
fails is printed as the steps that lead there, with what reproduces it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.executor.tests.conftest import PRICE, SYMBOL
from services.executor.tests.slow_motion import Customer, World
from services.paper_exchange.http import Asked
from services.paper_exchange.signing import read_params, sign
from shared.contracts import ExecutionRequested
from shared.ids import client_order_id

EXAMPLES, STEPS = int(os.environ.get("SOAK_EXAMPLES", "40")), int(os.environ.get("SOAK_STEPS", "50"))
ACTIONS = st.sampled_from(["buy", "sell", "close", "close_all"])
FATES = ["answer lost", "never sent", "delayed", "503 unknown", "503 failed", "throttled", "refused"]
PRICES = [PRICE * percent / 100 for percent in (93, 97, 99, 100, 101, 103, 107)]
WORKERS_MAX = 3
PLACED_NOTHING = {"not_placed", "expired", "exchange_unavailable", "too_many_orders", "position_already_open"}


class Lives(RuleBasedStateMachine):
    """One customer's account under several executors."""

    world: ClassVar[World]
    steps: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begin(self) -> None:
        self.world.move(PRICE)
        self.customer: Customer = self.world.customer()
        self.requests: list[ExecutionRequested] = []

    def _signal(self, action: str) -> ExecutionRequested:
        request = self.world.request(self.customer, action)
        self.requests.append(request)
        return request

    @rule(action=ACTIONS)
    def a_signal_comes(self, action: str) -> None:
        self.world.deliver(self._signal(action))
        self._claim()

    def _claim(self) -> None:
        """As the bell and the alarm clock have executors do, while one is free."""
        if len(self.world.workers) < WORKERS_MAX:
            self.world.claim()

    @rule(first=ACTIONS, second=ACTIONS)
    def two_signals_come_in_the_wrong_order(self, first: str, second: str) -> None:
        early, late = self._signal(first), self._signal(second)
        self.world.deliver(late)
        self._claim()
        self.world.deliver(early)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def a_signal_comes_again(self, data: st.DataObject) -> None:
        self.world.deliver(data.draw(st.sampled_from(self.requests)))

    @precondition(lambda self: self.world.waiting)
    @rule(turns=st.integers(1, 4))
    def all_goes_well_for_a_while(self, turns: int) -> None:
        for _ in range(turns):
            if self.world.waiting:
                self.world.resolve(self.world.waiting[0], "answered")

    @precondition(lambda self: self.world.waiting)
    @rule(which=st.integers(0, 2), fate=st.sampled_from(["answered", *FATES]))
    def a_request_meets_its_fate(self, which: int, fate: str) -> None:
        self.steps[fate] += 1
        self.world.resolve(self.world.waiting[which % len(self.world.waiting)], fate)

    @precondition(lambda self: self.world.waiting)
    @rule(which=st.integers(0, 2), sent=st.booleans())
    def an_executor_crashes(self, which: int, sent: bool) -> None:
        self.steps["crash"] += 1
        self.world.crash(self.world.waiting[which % len(self.world.waiting)], sent=sent)

    @precondition(lambda self: self.world.on_their_way)
    @rule(which=st.integers(0, 2))
    def a_late_request_arrives(self, which: int) -> None:
        self.steps["late"] += 1
        self.world.arrive(self.world.on_their_way.pop(which % len(self.world.on_their_way)))

    @rule(seconds=st.sampled_from([0.3, 1, 3, 7, 13]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.forward(seconds=seconds)
        self._claim()

    @rule(price=st.sampled_from(PRICES))
    def the_price_moves(self, price: Decimal) -> None:
        self.world.move(price)

    @precondition(lambda self: self._amount())
    @rule()
    def the_customer_closes_by_hand(self) -> None:
        self.steps["by hand"] += 1
        self._close_by_hand()

    def _close_by_hand(self) -> None:
        amount, account = self._amount(), self.world.account(self.customer)
        side = "SELL" if amount > 0 else "BUY"
        query = f"symbol={SYMBOL}&side={side}&type=MARKET&reduceOnly=true&quantity={abs(amount)}"
        query += f"&timestamp={self.world.now_ms()}"
        query += f"&signature={sign(self.world.gate.keyring.keys[account.api_key].api_secret, query)}"
        now_ms = self.world.now_ms()
        asked = Asked("POST", "/fapi/v1/order", "", account.api_key, query, "", read_params(query, ""), now_ms)
        assert self.world.arrive(asked)[0] == 200

    def _amount(self) -> Decimal:
        return self.world.account(self.customer).position(SYMBOL, "BOTH").amount

    def _entries(self) -> dict[str, list[str]]:
        """Filled entries: execution's part of the name → order ids."""
        found: dict[str, list[str]] = {}
        for order in self.world.account(self.customer).orders.values():
            name, _, leg = order.client_id.rpartition("-")
            if name.startswith("tc-") and leg.startswith("e") and order.executed:
                found.setdefault(name, []).append(str(order.id))
        return found

    @invariant()
    def no_execution_has_two_entries_and_nothing_is_sold_twice(self) -> None:
        if not hasattr(self, "customer"):
            return
        self.steps["step"] += 1
        assert all(len(order_ids) == 1 for order_ids in self._entries().values())
        # one position at most, of one entry's size: 1000 USD at prices around 95,000
        assert abs(self._amount()) <= Decimal("0.011")

    def teardown(self) -> None:
        if hasattr(self, "customer"):
            self._come_to_rest()
            self._all_is_as_it_is_told()

    def _come_to_rest(self) -> None:
        """Nothing goes wrong any more; every lane ends in a bounded time."""
        for _ in range(400):
            while self.world.on_their_way:
                self.world.arrive(self.world.on_their_way.pop())
            while self.world.waiting:
                self.world.resolve(self.world.waiting[0], "answered")
            if len(self.world.finished(self.customer)) == len(self.requests):
                return
            self.world.clock.forward(seconds=3)
            self.world.claim()
        raise AssertionError("an execution does not end")

    def _all_is_as_it_is_told(self) -> None:
        records = self.world.finished(self.customer)
        assert {record.execution_id for record in records} == {r.jobs[0].execution_id for r in self.requests}
        assert len(records) == len(self.requests), "each ends once"
        entries = self._entries()
        for record in records:
            orders = entries.get(client_order_id(record.execution_id, "").rstrip("-"), [])
            if record.status == "success" and record.action in ("buy", "sell"):
                assert record.exchange_order_id in orders
            if record.error_code in PLACED_NOTHING:
                assert not orders, f"{record.error_code}, and placed"
        ours = self.world.look(self.customer)
        assert ours == self._amount(), "what we hold open is what the exchange holds"
        kinds = {algo.type for algo in self.world.account(self.customer).open_algos.values()}
        assert "STOP_MARKET" in kinds if ours else not kinds, "protected, or flat with nothing left behind"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    world.open(monkeypatch.setattr)
    yield world
    world.close()


@pytest.mark.timeout(7200)
def test_whatever_happens_in_whatever_order_there_is_one_entry_and_the_record_is_true(world: World) -> None:
    Lives.world = world
    Lives.steps.clear()
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(Lives.steps))
    assert Lives.steps["step"] > EXAMPLES
