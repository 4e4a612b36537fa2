"""What a key may do, by the exchange's own word."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from services.bot_registry import keycheck
from services.bot_registry.key_rights import Accepted, Refused, judge
from services.bot_registry.keycheck import ExchangeUnavailable, KeyCheck
from services.bot_registry.tests.registry_world import FakeExchange
from shared.clock import SystemClock
from shared.contracts import Environment
from shared.sealing import Credentials

# Binance, wallet documentation, "Get API Key Permission": the answer of its example, trading futures allowed
TRADE_ONLY = {
    "ipRestrict": True,
    "createTime": 1698645219000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": True,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableSpotAndMarginTrading": True,
}


def code(verdict: Accepted | Refused | None) -> str | None:
    return verdict.code if isinstance(verdict, Refused) else None


def test_a_key_that_trades_and_nothing_else_is_accepted() -> None:
    assert judge("live", 200, TRADE_ONLY) == Accepted()
    assert judge("paper", 200, TRADE_ONLY) == Accepted()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"enableWithdrawals": True}, "key_can_withdraw"),
        ({"permitsUniversalTransfer": True}, "key_can_transfer"),
        ({"enableInternalTransfer": True}, "key_can_transfer"),
        ({"enableReading": False}, "key_lacks_permission"),
        ({"enableFutures": False, "enableSpotAndMarginTrading": False}, "key_lacks_permission"),
        ({"enableFutures": False}, None),
        ({"enableSpotAndMarginTrading": False}, None),
    ],
)
def test_a_key_is_judged_by_its_rights(change: dict[str, Any], expected: str | None) -> None:
    assert code(judge("live", 200, TRADE_ONLY | change)) == expected
    assert code(judge("paper", 200, TRADE_ONLY | change)) == expected


def test_a_field_that_is_missing_is_harmless() -> None:
    assert judge("live", 200, {}) == Accepted()
    assert judge("testnet", 200, {}) == Accepted()


def test_only_a_live_key_that_works_from_any_address_is_warned_of() -> None:
    open_key = TRADE_ONLY | {"ipRestrict": False}
    live, paper = judge("live", 200, open_key), judge("paper", 200, open_key)
    assert isinstance(live, Accepted)
    assert len(live.warnings) == 1
    assert paper == Accepted()


@pytest.mark.parametrize(("right", "market"), [("enableFutures", "futures"), ("enableSpotAndMarginTrading", "spot")])
def test_a_market_that_the_key_cannot_trade_is_warned_of(right: str, market: str) -> None:
    judged = judge("paper", 200, TRADE_ONLY | {right: False})
    assert isinstance(judged, Accepted)
    [warning] = judged.warnings
    assert f"cannot trade {market}" in warning


def test_on_the_testnet_the_account_must_be_allowed_to_trade() -> None:
    assert judge("testnet", 200, {"canTrade": True, "canWithdraw": True}) == Accepted()
    assert code(judge("testnet", 200, {"canTrade": False})) == "key_lacks_permission"


@pytest.mark.parametrize(("status", "number"), [(401, -2014), (401, -2015), (400, -1022), (400, -2015), (401, None)])
def test_what_the_exchange_refuses_is_rejected(status: int, number: int | None) -> None:
    assert code(judge("live", status, {} if number is None else {"code": number})) == "key_rejected"


@pytest.mark.parametrize(("status", "number"), [(403, None), (429, -1003), (418, -1003), (500, -1000), (400, -1021)])
def test_what_says_nothing_about_the_key_decides_nothing(status: int, number: int | None) -> None:
    assert judge("live", status, {} if number is None else {"code": number}) is None


@pytest.fixture
async def check(exchange: FakeExchange) -> AsyncIterator[KeyCheck]:
    url = exchange.base_url
    places: dict[Environment, keycheck.Place] = {
        "live": keycheck.live(url),
        "testnet": keycheck.testnet(url),
        "paper": keycheck.paper(url),
    }
    checking = KeyCheck(places, SystemClock())
    async with checking.running():
        yield checking


GOOD = Credentials(SecretStr("key-of-ana-1234"), SecretStr("secret-of-ana"))


@pytest.mark.parametrize("environment", ["live", "testnet", "paper"])
async def test_a_signed_question_is_answered(check: KeyCheck, environment: Environment) -> None:
    assert await check.check(environment, GOOD) == Accepted()


@pytest.mark.parametrize("ahead_ms", [-60_000, 60_000])
@pytest.mark.parametrize("environment", ["live", "testnet", "paper"])
async def test_where_the_clocks_differ_the_exchanges_own_time_counts(
    check: KeyCheck, exchange: FakeExchange, environment: Environment, ahead_ms: int
) -> None:
    exchange.ahead_ms = ahead_ms
    assert await check.check(environment, GOOD) == Accepted()


async def test_a_wrong_secret_is_rejected(check: KeyCheck) -> None:
    assert code(await check.check("paper", Credentials(GOOD.api_key, SecretStr("wrong")))) == "key_rejected"


async def test_a_broken_exchange_is_unavailable(check: KeyCheck, exchange: FakeExchange) -> None:
    exchange.broken = True
    with pytest.raises(ExchangeUnavailable):
        await check.check("paper", GOOD)


async def test_an_exchange_that_is_not_there_is_unavailable() -> None:
    checking = KeyCheck({"live": keycheck.live("http://127.0.0.1:9")}, SystemClock())
    async with checking.running():
        with pytest.raises(ExchangeUnavailable) as raised:
            await checking.check("live", GOOD)
    assert "secret" not in str(raised.value)
