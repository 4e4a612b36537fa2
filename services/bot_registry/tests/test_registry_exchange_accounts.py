"""Exchange accounts: checked first, then sealed, and never seen again."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from services.bot_registry.settings import Settings
from services.bot_registry.tables import exchange_accounts
from services.bot_registry.tests.registry_world import EXECUTOR_KEY, Caller, FakeExchange, Registry, running
from shared.db.database import Database
from shared.sealing import Opener
from shared.web.auth import Role

Fields = dict[str, Any]


async def test_a_good_key_is_connected_and_only_its_last_four_characters_are_told(
    ana: Caller, an_account: Fields
) -> None:
    created = await ana("POST", "/exchange-accounts", an_account)
    assert created.status == 201
    listed = await ana("GET", "/exchange-accounts")
    (account,) = listed.body["items"]
    assert account["id"] == created.body["exchange_account_id"]
    assert account["api_key_last4"] == "1234"
    assert created.body["warnings"] == []
    for secret in ("key-of-ana", "secret-of-ana"):
        assert secret not in created.text + listed.text


async def test_only_the_executor_can_open_what_is_stored(registry: Registry, ana: Caller, an_account: Fields) -> None:
    created = await ana("POST", "/exchange-accounts", an_account)
    async with registry.database.transaction() as tx:
        row = (await tx.connection.execute(select(exchange_accounts))).one()
    assert "key-of-ana" not in str(row)
    assert "secret-of-ana" not in str(row)
    account_id = UUID(created.body["exchange_account_id"])
    credentials = Opener(EXECUTOR_KEY).open(row.sealed_credentials, account_id)
    assert credentials.api_key.get_secret_value() == "key-of-ana-1234"
    assert credentials.api_secret.get_secret_value() == "secret-of-ana"


@pytest.mark.parametrize(
    ("rights", "code"),
    [
        ({"enableWithdrawals": True}, "key_can_withdraw"),
        ({"permitsUniversalTransfer": True}, "key_can_transfer"),
        ({"enableFutures": False, "enableSpotAndMarginTrading": False}, "key_lacks_permission"),
    ],
)
async def test_a_key_with_the_wrong_rights_is_refused_and_not_kept(
    ana: Caller, exchange: FakeExchange, an_account: Fields, rights: Fields, code: str
) -> None:
    exchange.rights = rights
    answer = await ana("POST", "/exchange-accounts", an_account)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert (await ana("GET", "/exchange-accounts")).body["items"] == []


@pytest.mark.parametrize("wrong", ["api_key", "api_secret"])
async def test_a_key_that_the_exchange_does_not_know_is_refused(ana: Caller, an_account: Fields, wrong: str) -> None:
    answer = await ana("POST", "/exchange-accounts", an_account | {wrong: "something-else"})
    assert (answer.status, answer.body["code"]) == (422, "key_rejected")
    assert "something-else" not in answer.text


async def test_without_the_exchange_no_key_is_taken(ana: Caller, exchange: FakeExchange, an_account: Fields) -> None:
    exchange.broken = True
    answer = await ana("POST", "/exchange-accounts", an_account)
    assert (answer.status, answer.body["code"]) == (503, "exchange_unavailable")


async def test_a_live_key_that_works_from_anywhere_is_taken_with_a_warning(
    ana: Caller, exchange: FakeExchange, an_account: Fields
) -> None:
    exchange.rights = {"ipRestrict": False, "enableFutures": True}
    answer = await ana("POST", "/exchange-accounts", an_account | {"environment": "live"})
    assert answer.status == 201
    (warning,) = answer.body["warnings"]
    assert "any address" in warning


async def test_a_key_is_connected_once_whoever_brings_it(ana: Caller, ben: Caller, an_account: Fields) -> None:
    assert (await ana("POST", "/exchange-accounts", an_account)).status == 201
    for caller in (ana, ben):
        answer = await caller("POST", "/exchange-accounts", an_account)
        assert (answer.status, answer.body["code"]) == (409, "key_already_connected")


async def test_a_key_is_recognised_after_the_master_key_was_rotated(
    settings: Settings, database: Database, an_account: Fields
) -> None:
    async with running(settings, database) as registry:
        ana = await registry.user(Role.CUSTOMER)
        assert (await ana("POST", "/exchange-accounts", an_account)).status == 201
    old = settings.webhook_secret_keys.get_secret_value()
    rotated = Settings.model_validate(
        settings.model_dump() | {"webhook_secret_keys": f"{settings.token_private_key.get_secret_value()},{old}"}
    )
    async with running(rotated, database) as registry:
        ben = await registry.user(Role.CUSTOMER)
        assert (await ben("POST", "/exchange-accounts", an_account)).body["code"] == "key_already_connected"


async def test_where_no_real_money_is_traded_a_live_account_is_refused(
    settings: Settings, database: Database, an_account: Fields
) -> None:
    paper_only = Settings.model_validate(settings.model_dump() | {"live_trading": False, "paper_exchange_url": None})
    async with running(paper_only, database) as registry:
        ana = await registry.user(Role.CUSTOMER)
        live = await ana("POST", "/exchange-accounts", an_account | {"environment": "live"})
        assert (live.status, live.body["code"]) == (422, "live_trading_disabled")
        paper = await ana("POST", "/exchange-accounts", an_account)
        assert (paper.status, paper.body["code"]) == (422, "environment_not_offered")


async def test_a_wrong_field_is_refused_naming_it_and_not_repeating_it(ana: Caller, an_account: Fields) -> None:
    wrong = [
        ("label", ""),
        ("exchange", "kraken"),
        ("environment", "moon"),
        ("api_key", ""),
        ("api_key", "two\nlines"),
        ("api_secret", "ünïcode-secret"),
        ("api_secret", "x" * 257),
    ]
    for field, value in wrong:
        answer = await ana("POST", "/exchange-accounts", an_account | {field: value})
        assert (answer.status, answer.body["field"]) == (422, field), (field, value)
        assert not value or value not in answer.text


async def test_a_pasted_key_may_have_blanks_around_it(ana: Caller, an_account: Fields) -> None:
    pasted = an_account | {"api_key": " key-of-ana-1234\n", "api_secret": "\tsecret-of-ana "}
    assert (await ana("POST", "/exchange-accounts", pasted)).status == 201


async def test_a_customer_sees_and_deletes_only_their_own(
    admin: Caller, ana: Caller, ben: Caller, an_account: Fields
) -> None:
    account_id = (await ana("POST", "/exchange-accounts", an_account)).body["exchange_account_id"]
    assert (await ben("GET", "/exchange-accounts")).body["items"] == []
    assert (await ben("DELETE", f"/exchange-accounts/{account_id}")).status == 404
    (seen,) = (await admin("GET", "/exchange-accounts")).body["items"]
    assert seen["user_id"] == str(ana.user_id)
    assert (await ana("DELETE", f"/exchange-accounts/{account_id}")).status == 204
    assert (await ana("GET", "/exchange-accounts")).body["items"] == []


async def test_a_deleted_key_leaves_nothing_and_can_come_back(
    registry: Registry, ana: Caller, an_account: Fields
) -> None:
    account_id = (await ana("POST", "/exchange-accounts", an_account)).body["exchange_account_id"]
    await ana("DELETE", f"/exchange-accounts/{account_id}")
    async with registry.database.transaction() as tx:
        assert (await tx.connection.execute(select(exchange_accounts))).all() == []
    assert (await ana("POST", "/exchange-accounts", an_account)).status == 201
