"""Subscriptions: an account follows a bot on its owner's terms."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.bot_registry.tests.registry_world import Caller, Registry
from shared.contracts import SubscriptionChanged

Fields = dict[str, Any]


@dataclass
class Pair:
    """A bot and an account of Ana's, ready to be brought together."""

    bot_id: str
    exchange_account_id: str

    def body(self, **settings: Any) -> Fields:
        return {"bot_id": self.bot_id, "exchange_account_id": self.exchange_account_id, **settings}


@pytest.fixture
async def pair(admin: Caller, ana: Caller, a_bot: Fields, an_account: Fields) -> Pair:
    bot = await admin("POST", "/bots", a_bot)
    account = await ana("POST", "/exchange-accounts", an_account)
    return Pair(bot.body["bot_id"], account.body["exchange_account_id"])


async def test_a_subscription_keeps_zero_apart_from_absent(ana: Caller, pair: Pair) -> None:
    created = await ana("POST", "/subscriptions", pair.body(custom_margin_usd=0, custom_stop_loss_pct="0.0"))
    assert created.status == 201
    subscription = (await ana("GET", f"/subscriptions/{created.body['subscription_id']}")).body
    assert (subscription["custom_margin_usd"], subscription["custom_stop_loss_pct"]) == ("0", "0")
    assert (subscription["custom_take_profit_pct"], subscription["custom_leverage"]) == (None, None)
    assert subscription["status"] == "active"


async def test_a_change_keeps_what_it_leaves_out_and_null_returns_to_the_default(ana: Caller, pair: Pair) -> None:
    created = await ana("POST", "/subscriptions", pair.body(custom_leverage=15, max_daily_loss_usd=500))
    path = f"/subscriptions/{created.body['subscription_id']}"
    before = (await ana("GET", path)).body
    after = await ana("PATCH", path, {"custom_leverage": None, "status": "paused"})
    assert after.body == before | {"custom_leverage": None, "status": "paused"}
    assert after.body["max_daily_loss_usd"] == "500"
    assert (await ana("PATCH", path, {})).body == after.body


async def test_a_subscription_says_what_to_do_with_too_much_leverage(ana: Caller, pair: Pair) -> None:
    path = f"/subscriptions/{(await ana('POST', '/subscriptions', pair.body())).body['subscription_id']}"
    assert (await ana("GET", path)).body["leverage_policy"] == "reject"
    assert (await ana("PATCH", path, {"leverage_policy": "clamp"})).body["leverage_policy"] == "clamp"
    for wrong in (None, "cap"):
        answer = await ana("PATCH", path, {"leverage_policy": wrong})
        assert (answer.status, answer.body["field"]) == (422, "leverage_policy")


async def test_the_others_hear_of_a_subscription_its_changes_and_its_end(
    registry: Registry, ana: Caller, pair: Pair
) -> None:
    subscription_id = (await ana("POST", "/subscriptions", pair.body())).body["subscription_id"]
    told = await registry.bus.next(SubscriptionChanged)
    assert (told.subscription_id, told.bot_id) == (UUID(subscription_id), UUID(pair.bot_id))
    assert (told.user_id, told.status) == (ana.user_id, "active")
    await ana("PATCH", f"/subscriptions/{subscription_id}", {"status": "paused"})
    assert (await registry.bus.next(SubscriptionChanged)).status == "paused"
    await ana("DELETE", f"/subscriptions/{subscription_id}")
    assert (await registry.bus.next(SubscriptionChanged)).status == "deleted"


async def test_an_account_follows_a_bot_once_until_it_is_deleted(ana: Caller, pair: Pair) -> None:
    path = f"/subscriptions/{(await ana('POST', '/subscriptions', pair.body())).body['subscription_id']}"
    again = await ana("POST", "/subscriptions", pair.body())
    assert (again.status, again.body["code"]) == (409, "already_subscribed")
    assert (await ana("DELETE", path)).status == 204
    assert (await ana("GET", path)).status == 404
    assert (await ana("PATCH", path, {"status": "active"})).status == 404
    assert (await ana("DELETE", path)).status == 404
    assert (await ana("GET", "/subscriptions")).body["items"] == []
    assert (await ana("POST", "/subscriptions", pair.body())).status == 201


async def test_an_archived_or_unknown_bot_takes_no_subscription_but_a_paused_one_does(
    admin: Caller, ana: Caller, pair: Pair
) -> None:
    await admin("PATCH", f"/bots/{pair.bot_id}", {"status": "archived"})
    assert (await ana("POST", "/subscriptions", pair.body())).status == 404
    assert (await ana("POST", "/subscriptions", pair.body() | {"bot_id": str(uuid4())})).status == 404
    await admin("PATCH", f"/bots/{pair.bot_id}", {"status": "paused"})
    assert (await ana("POST", "/subscriptions", pair.body())).status == 201


async def test_anothers_account_cannot_be_subscribed_not_even_by_an_administrator(
    admin: Caller, ben: Caller, pair: Pair
) -> None:
    for caller in (ben, admin):
        assert (await caller("POST", "/subscriptions", pair.body())).status == 404


async def test_a_customer_sees_and_changes_only_their_own(admin: Caller, ana: Caller, ben: Caller, pair: Pair) -> None:
    path = f"/subscriptions/{(await ana('POST', '/subscriptions', pair.body())).body['subscription_id']}"
    refused = [await ben("GET", path), await ben("PATCH", path, {"status": "paused"}), await ben("DELETE", path)]
    assert [answer.status for answer in refused] == [404, 404, 404]
    assert (await ben("GET", "/subscriptions")).body["items"] == []
    (seen,) = (await admin("GET", "/subscriptions")).body["items"]
    assert (seen["user_id"], seen["status"]) == (str(ana.user_id), "active")


async def test_an_account_in_use_is_not_deleted(ana: Caller, pair: Pair) -> None:
    path = f"/subscriptions/{(await ana('POST', '/subscriptions', pair.body())).body['subscription_id']}"
    account = f"/exchange-accounts/{pair.exchange_account_id}"
    await ana("PATCH", path, {"status": "paused"})
    refused = await ana("DELETE", account)
    assert (refused.status, refused.body["code"]) == (409, "account_in_use")
    await ana("DELETE", path)
    assert (await ana("DELETE", account)).status == 204


async def test_subscribing_while_the_account_is_deleted_leaves_no_subscription_without_account(
    ana: Caller, pair: Pair
) -> None:
    created, deleted = await asyncio.gather(
        ana("POST", "/subscriptions", pair.body()), ana("DELETE", f"/exchange-accounts/{pair.exchange_account_id}")
    )
    assert (created.status, deleted.status) in {(201, 409), (404, 204)}


async def test_a_wrong_field_is_refused_naming_it(ana: Caller, pair: Pair) -> None:
    wrong = [
        ("custom_leverage", 126),
        ("custom_margin_usd", -1),
        ("custom_stop_loss_pct", 100),
        ("custom_take_profit_pct", -1),
        ("max_daily_loss_usd", "-0.01"),
        ("max_concurrent_positions", -1),
        ("bot_id", "no id"),
        ("status", "active"),
    ]
    for field, value in wrong:
        answer = await ana("POST", "/subscriptions", pair.body() | {field: value})
        assert (answer.status, answer.body["field"]) == (422, field), (field, value)
    path = f"/subscriptions/{(await ana('POST', '/subscriptions', pair.body())).body['subscription_id']}"
    for field, value in (("status", "deleted"), ("status", None), ("bot_id", pair.bot_id)):
        answer = await ana("PATCH", path, {field: value})
        assert (answer.status, answer.body["field"]) == (422, field)
