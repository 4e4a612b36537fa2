"""The API-break breaker: protections refused for several customers in an unforeseen way stop entries for all."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.executor.breaker import unforeseen
from services.executor.outcomes import Answer, NoAnswer
from services.executor.tests.conftest import Customer, House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.contracts import EntriesAllowed, EntriesAllowRequested, EntriesStopped, ExecutionFinished
from shared.ids import fresh

ALGO = "/fapi/v1/algoOrder"
CACHED_S = 1.1
FactT = TypeVar("FactT", EntriesStopped, EntriesAllowed)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Answer(400, -4120, "Order type not supported for this endpoint."), -4120),
        (Answer(400, -4999, "nobody knows"), -4999),
        (Answer(400, -1102, "Mandatory parameter was not sent."), -1102),
        (Answer(400, -9000, "a group of codes that is new"), -9000),
        (Answer(404, None, "<html>"), 404),
        (Answer(410, None, ""), 410),
    ],
)
def test_what_no_table_foresees_counts(reply: Answer, code: int) -> None:
    assert unforeseen(reply, "futures") == code


@pytest.mark.parametrize(
    "reply",
    [
        *(Answer(400, code, "") for code in (-2021, -4142, -4116, -4130, -4509)),  # a protection's daily life
        *(Answer(400, code, "") for code in (-2015, -2019, -4045, -4061, -2023, -2022, -1121)),  # the customer's
        *(Answer(400, code, "") for code in (-1000, -1001, -1006, -1007)),  # unknown
        Answer(400, -1021, "outside of recvWindow"),
        Answer(429, -1003, "too many requests"),
        Answer(503, -1008, "overloaded"),
        Answer(503, None, "Unknown error, please check your request or try again later."),
        Answer(403, None, "firewall"),
        Answer(502, None, "<html>"),
        NoAnswer(sent=True, message="timeout"),
    ],
)
def test_what_is_the_customers_the_markets_or_an_outage_does_not_count(reply: Answer | NoAnswer) -> None:
    assert unforeseen(reply, "futures") is None


async def facts(house: House, kind: type[FactT]) -> list[FactT]:
    async with asyncio.timeout(5):
        while not (found := [fact for fact in house.told if isinstance(fact, kind)]):
            await asyncio.sleep(0.01)
    return found


async def traded(house: House, action: str, *customers: Customer, **config: object) -> list[ExecutionFinished]:
    ids = await house.signal(action, *customers, **config)  # type: ignore[arg-type]
    return list(await asyncio.gather(*(house.finished(execution_id) for execution_id in ids)))


async def allow(house: House, stop_id: UUID, by: UUID) -> None:
    await house.tell(EntriesAllowRequested(id=fresh(), occurred_at=datetime.now(UTC), stop_id=stop_id, user_id=by))


def gauge() -> float | None:
    return REGISTRY.get_sample_value("tradecast_entries_stopped", {"environment": "paper", "market": "futures"})


async def test_an_api_that_breaks_stops_entries_for_everybody_until_a_person_allows_them(house: House) -> None:
    async with AsyncExitStack() as stack:
        await house.start_another(stack)
        holder, turner = await house.customer(), await house.customer()
        await traded(house, "buy", holder, turner)
        customers = [await house.customer() for _ in range(5)]
        await house.paper.fault("error", code=-4120, path=ALGO, method="POST", times=1_000)

        first = await traded(house, "buy", *customers)
        assert {(done.status, done.error_code) for done in first} <= {
            ("failed", "unprotected_closed"),
            ("skipped", "stopped"),  # who was late
        }
        assert sum(done.error_code == "unprotected_closed" for done in first) >= 3
        assert all([await amount(house, customer) == 0 for customer in customers])
        [stop] = await facts(house, EntriesStopped)
        assert (stop.environment, stop.market_type, stop.exchange_code) == ("paper", "futures", -4120)
        await asyncio.sleep(CACHED_S)
        assert gauge() == 1
        before = [len(await market_orders(house, customer)) for customer in customers]

        second = await traded(house, "buy", *customers)
        assert {(done.status, done.error_code) for done in second} == {("skipped", "stopped")}
        assert (second[0].exchange_code, second[0].error_message) == (-4120, stop.message)
        assert [len(await market_orders(house, customer)) for customer in customers] == before

        [closed] = await traded(house, "close", holder)
        assert closed.status == "success"
        assert await amount(house, holder) == 0
        [reversed_] = await traded(house, "sell", turner)
        assert (reversed_.status, reversed_.error_code) == ("skipped", "stopped")
        assert await amount(house, turner) == 0, "its exit was made, its entry was not"

        await house.paper.no_faults()
        admin = uuid4()
        await allow(house, stop.stop_id, admin)
        await allow(house, stop.stop_id, uuid4())  # once more: nothing
        [allowed] = await facts(house, EntriesAllowed)
        assert (allowed.stop_id, allowed.allowed_by) == (stop.stop_id, admin)
        await asyncio.sleep(CACHED_S)
        assert gauge() == 0
        third = await traded(house, "buy", *customers)
        assert {done.status for done in third} == {"success"}
        assert all(["STOP_MARKET" in await triggers(house, customer) for customer in customers])
        assert len([fact for fact in house.told if isinstance(fact, EntriesStopped)]) == 1


async def test_the_refusals_before_an_allowance_are_forgotten(house: House) -> None:
    customers = [await house.customer() for _ in range(3)]
    await house.paper.fault("error", code=-4120, path=ALGO, method="POST", times=1_000)
    await traded(house, "buy", *customers)
    [stop] = await facts(house, EntriesStopped)
    await allow(house, stop.stop_id, uuid4())
    await facts(house, EntriesAllowed)
    [done] = await traded(house, "buy", customers[0])
    assert done.error_code == "unprotected_closed", "one account alone does not stop entries"
    assert len(await facts(house, EntriesStopped)) == 1


async def test_fewer_accounts_than_that_or_refusals_of_their_own_stop_nothing(house: House) -> None:
    two = [await house.customer() for _ in range(2)]
    for customer in two:
        await house.paper.fault("error", code=-4120, path=ALGO, method="POST", api_key=customer.api_key, times=50)
    others = [await house.customer() for _ in range(3)]
    for customer in others:  # each its own matter: too many orders
        await house.paper.fault("error", code=-4045, path=ALGO, method="POST", api_key=customer.api_key, times=50)
    done = await traded(house, "buy", *two, *others)
    assert {one.error_code for one in done} == {"unprotected_closed"}
    await asyncio.sleep(CACHED_S)
    assert (await traded(house, "buy", await house.customer()))[0].status == "success"
    assert not [fact for fact in house.told if isinstance(fact, EntriesStopped)]
