"""What cannot be resolved within its bound: told once, asked about on, its lane closed, a person's word heeded."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.executor import placing
from services.executor.state import (
    AttentionBegan,
    AttentionOver,
    Closed,
    Find,
    Opened,
    Said,
    Seen,
    Settled,
    Sleep,
    Unserved,
    Woke,
)
from services.executor.tests import conftest
from services.executor.tests.conftest import Customer, House
from services.executor.tests.machine_builders import (
    NOW,
    WORKING,
    Execution,
    entering,
    exiting,
    stopping,
    uncertain,
    verifying,
)
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.contracts import AttentionEnded, AttentionNeeded, CloseReason, Doubt, ExecutionFinished, Verdict

ORDER = "/fapi/v1/order"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs attention after half a second, and asks once in a while only."""
    monkeypatch.setattr(placing, "_ATTENTION_TRIES", 2)
    timing = replace(conftest.QUICK, attention_after_ms=500, attention_every_ms=60_000)
    monkeypatch.setattr(conftest, "QUICK", timing)


@pytest.fixture
def impatient_house(impatient: None, house: House) -> House:
    """Made after `impatient`."""
    return house


def told(house: House, kind: type) -> list[Any]:
    return [message for message in house.told if isinstance(message, kind)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def in_doubt(house: House, kind: str) -> tuple[Customer, UUID]:
    """A buy whose order got no answer, and the exchange tells nothing of it."""
    customer = await house.customer()
    await house.paper.fault(kind, path=ORDER, method="POST", api_key=customer.api_key)
    await house.paper.fault("http_503_failed", path=ORDER, method="GET", api_key=customer.api_key, times=10_000)
    [execution_id] = await house.signal("buy", customer)
    await until(lambda: told(house, AttentionNeeded))
    return customer, execution_id


async def test_it_is_told_once_and_the_lane_waits_until_the_exchange_tells(impatient_house: House) -> None:
    house = impatient_house
    customer, execution_id = await in_doubt(house, "http_503_unknown")
    [close] = await house.signal("close", customer)
    [needed] = told(house, AttentionNeeded)
    assert (needed.execution_id, needed.doubt, needed.symbol) == (execution_id, Doubt.ORDER_UNKNOWN, "BTCUSDT")
    names = [row["clientOrderId"] for row in await market_orders(house, customer)]
    assert names == [needed.client_order_id], "the order that a person is to look for"
    await house.say("look_again", execution_id)  # in vain: nothing is told twice
    await asyncio.sleep(0.5)
    assert not told(house, ExecutionFinished)
    await house.paper.no_faults()
    await house.say("look_again", execution_id)
    done = [await house.finished(execution_id), await house.finished(close)]
    assert [one.status for one in done] == ["success", "success"]
    assert await amount(house, customer) == 0
    [ended] = told(house, AttentionEnded)
    assert (ended.attention_id, ended.ended_by) == (needed.attention_id, None)
    assert len(told(house, AttentionNeeded)) == 1


async def test_a_person_who_finds_no_order_ends_an_entry_and_the_record_says_who(impatient_house: House) -> None:
    house = impatient_house
    customer, execution_id = await in_doubt(house, "timeout_before")
    person = await house.say("not_placed", execution_id)
    done = await house.finished(execution_id)
    assert (done.status, done.error_code) == ("failed", "not_placed")
    assert str(person) in (done.error_message or "")
    [ended] = told(house, AttentionEnded)
    assert (ended.ended_by, ended.verdict) == (person, Verdict.NOT_PLACED)
    assert await market_orders(house, customer) == []


async def test_a_person_who_closed_by_hand_ends_what_could_not_be_closed(impatient_house: House) -> None:
    house = impatient_house
    customer = await house.customer()
    await house.trade("buy", customer)
    await house.paper.fault("http_503_failed", path=ORDER, method="POST", api_key=customer.api_key, times=10_000)
    [close] = await house.signal("close", customer)
    await until(lambda: told(house, AttentionNeeded))
    assert told(house, AttentionNeeded)[0].doubt == Doubt.CLOSE_NOT_TAKEN
    await house.paper.price("92000")  # what closes it here is the stop-loss
    person = await house.say("closed_by_hand", close)
    done = await house.finished(close)
    assert (done.status, done.error_code) == ("failed", "closed_by_hand")
    assert str(person) in (done.error_message or "")
    [closed] = house.closed()
    assert (closed.close_reason, closed.realized_pnl_usd) == ("external", None)
    await house.paper.no_faults()
    assert (await house.trade("buy", customer)).status == "success", "the lane is free"


async def test_a_word_about_an_execution_that_needs_no_attention_is_left_alone(house: House) -> None:
    customer = await house.customer()
    await house.paper.fault("latency", path=ORDER, api_key=customer.api_key, latency_ms=300, times=9)
    [execution_id] = await house.signal("buy", customer)
    await house.say("not_placed", execution_id)
    await house.say("not_placed", uuid4())
    done = await house.finished(execution_id)
    assert done.status == "success"
    await house.say("closed_by_hand", execution_id)
    assert await amount(house, customer) == Decimal("0.010")
    assert "STOP_MARKET" in await triggers(house, customer)
    assert house.closed() == []


PERSON = UUID(int=77)
LATE = NOW + 16 * 60_000


def hears(execution: Execution, verdict: Verdict) -> Execution:
    """The next who claims it finds a person's word with it."""
    execution.state = replace(execution.state, said=Said(verdict, PERSON))
    return execution.sees(Woke())


def began(execution: Execution) -> list[AttentionBegan]:
    return [fact for fact in execution.facts if isinstance(fact, AttentionBegan)]


def test_what_was_begun_where_nothing_is_traded_any_more_waits_as_it_stands() -> None:
    execution = stopping()
    before = execution.state
    execution.sees(Unserved(), Unserved())
    [said] = began(execution)
    assert said.attention.doubt is Doubt.ENVIRONMENT_UNAVAILABLE
    assert replace(execution.state, attention=None) == before
    assert isinstance(execution.effect, Sleep)


def test_a_fill_whose_position_was_closed_by_hand_is_told_as_opened_and_closed() -> None:
    execution = hears(stopping().sees(Unserved()), Verdict.CLOSED_BY_HAND)
    assert execution.ended == ("failed", "closed_by_hand")
    opened, closed, over = execution.facts[-4:-1]
    assert isinstance(opened, Opened)
    assert closed == Closed(opened.position, Settled(CloseReason.EXTERNAL, None, None))
    assert isinstance(over, AttentionOver)
    assert (over.attention.ended_by, over.attention.verdict) == (PERSON, Verdict.CLOSED_BY_HAND)


def test_an_exit_that_a_person_did_not_find_is_sent_under_a_new_name() -> None:
    execution = verifying(exiting()).sees(uncertain(), at_ms=LATE)
    assert execution.name() == "x1"
    assert hears(execution, Verdict.NOT_PLACED).name() == "x2"


def test_an_order_that_the_exchange_has_shown_is_believed_rather_than_a_person() -> None:
    execution = verifying(entering()).sees(Seen(WORKING), at_ms=LATE)
    assert len(began(execution)) == 1
    hears(execution, Verdict.NOT_PLACED)
    assert isinstance(execution.effect, Find)


def test_nothing_is_heeded_where_no_attention_is_needed() -> None:
    execution = verifying(entering())
    assert isinstance(hears(execution, Verdict.NOT_PLACED).effect, Find)
    assert execution.state.said is None
