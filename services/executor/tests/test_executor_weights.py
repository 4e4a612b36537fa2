"""What every call says that it weighs is what the exchange counts: else the governor keeps to a limit of its own."""

import pytest

from services.executor.exchange.governor import Governor
from services.executor.tests.conftest import Customer, House, Paper
from services.executor.tests.test_executor_governor import Exchange, exchange

__all__ = ["exchange"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def paper(exchange: Exchange) -> Paper:
    exchange.clock.forward(-20)  # all of it in one minute
    return exchange.paper


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    weights: list[int] = []
    read = Governor.read

    async def recorded(self: Governor, weight: int) -> None:
        weights.append(weight)
        await read(self, weight)

    monkeypatch.setattr(Governor, "read", recorded)
    return weights


async def trades(house: House, customer: Customer, market: str) -> None:
    assert (await house.trade("buy", customer, market_type=market)).status == "success"
    if market == "futures":
        assert (await house.trade("sell", customer, market_type=market)).status == "success"
    assert (await house.trade("close", customer, market_type=market)).status == "success"


async def test_futures_calls_weigh_what_they_say(declared: list[int], house: House, exchange: Exchange) -> None:
    await trades(house, await house.customer(), "futures")
    assert sum(declared) == exchange.used("fapi") > 40


async def test_spot_calls_weigh_what_they_say_but_for_a_cancel_which_is_free_when_it_succeeds(
    declared: list[int], house: House, exchange: Exchange
) -> None:
    await trades(house, await house.customer(), "spot")
    assert sum(declared) - 1 == exchange.used("api") > 40
