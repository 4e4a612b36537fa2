"""Bots: what goes in, what comes out, and what the gateway hears."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.bot_registry.tests.registry_world import SERVICE_TOKEN, Caller, Registry
from shared.clock import SystemClock
from shared.contracts import BotChanged, BotEntry
from shared.sealing import Cipher

Fields = dict[str, Any]


def opened(registry: Registry, bot: BotEntry) -> list[str]:
    cipher = Cipher(registry.settings.webhook_secret_keys.get_secret_value(), "bot_master_webhook")
    return [cipher.decrypt(secret.token).get_secret_value() for secret in bot.secrets]


async def test_a_created_bot_says_where_its_alerts_go(admin: Caller, a_bot: Fields) -> None:
    answer = await admin("POST", "/bots", a_bot)
    assert answer.status == 201
    assert answer.body["webhook_url"] == "http://127.0.0.1:8000/api/v1/bots/webhook/master/scalper-btc-5min"
    bot = (await admin("GET", f"/bots/{answer.body['bot_id']}")).body
    assert bot["webhook_url"] == answer.body["webhook_url"]


async def test_a_created_bot_has_the_contracts_defaults(admin: Caller, a_bot: Fields) -> None:
    created = await admin("POST", "/bots", a_bot)
    bot = (await admin("GET", f"/bots/{created.body['bot_id']}")).body
    assert (
        bot
        | {
            "status": "active",
            "default_leverage": 10,
            "default_margin_usd": "100",
            "default_stop_loss_pct": "2.5",
            "default_take_profit_pct": "5",
            "rate_limit_per_minute": 10,
            "duplicate_window_seconds": 20,
            "max_signal_age_seconds": 60,
            "on_opposite": "reverse",
            "max_entries_per_symbol": 1,
            "margin_type": None,
            "protection_working_type": "mark_price",
            "price_protect": False,
            "when_symbol_held": "share",
        }
        == bot
    )


async def test_a_given_secret_is_never_told_and_stands_nowhere_in_the_database(
    registry: Registry, admin: Caller, a_bot: Fields
) -> None:
    created = await admin("POST", "/bots", a_bot)
    read = await admin("GET", f"/bots/{created.body['bot_id']}")
    listed = await admin("GET", "/bots")
    async with registry.database.transaction() as tx:
        schema = "registry." if registry.database.engine.dialect.name == "postgresql" else ""
        rows = (await tx.connection.execute(text(f"SELECT * FROM {schema}bots"))).all()
    assert a_bot["master_secret"] not in created.text + read.text + listed.text + str(rows)
    assert "master_secret" not in created.body
    assert '"secret": "YOUR_MASTER_SECRET"' in created.body["alert_message"]


async def test_a_generated_secret_is_told_once_in_a_message_ready_to_paste(
    registry: Registry, admin: Caller, a_bot: Fields
) -> None:
    del a_bot["master_secret"]
    created = await admin("POST", "/bots", a_bot)
    secret = created.body["master_secret"]
    filled = created.body["alert_message"].replace("{{ticker}}", "BTCUSDT").replace("{{close}}", "95234.50")
    assert json.loads(filled) == {"ticker": "BTCUSDT", "action": "buy", "secret": secret, "price": 95234.5}
    assert opened(registry, (await registry.bus.next(BotChanged)).bot) == [secret]
    assert secret not in (await admin("GET", f"/bots/{created.body['bot_id']}")).text


async def test_the_gateway_hears_of_a_new_bot_and_of_every_change(
    registry: Registry, admin: Caller, a_bot: Fields
) -> None:
    bot_id = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    told = (await registry.bus.next(BotChanged)).bot
    assert (str(told.bot_id), told.revision, told.webhook_path) == (bot_id, 1, "scalper-btc-5min")
    assert opened(registry, told) == ["minha-senha-super-secreta"]
    changes = {"status": "paused", "master_webhook_path": "other", "rate_limit_per_minute": 30}
    assert (await admin("PATCH", f"/bots/{bot_id}", changes)).status == 200
    told = (await registry.bus.next(BotChanged)).bot
    assert (told.revision, told.status, told.webhook_path, told.rate_limit_per_minute) == (2, "paused", "other", 30)


async def test_a_change_keeps_what_it_leaves_out_and_null_clears(admin: Caller, a_bot: Fields) -> None:
    path = f"/bots/{(await admin('POST', '/bots', a_bot)).body['bot_id']}"
    before = (await admin("GET", path)).body
    changes = {"default_leverage": 20, "default_margin_usd": "250.5", "default_stop_loss_pct": None}
    after = await admin("PATCH", path, changes)
    assert after.body == before | changes
    assert (await admin("PATCH", path, {})).body == after.body


@pytest.mark.parametrize("field", ["name", "status", "default_leverage", "default_margin_usd", "on_opposite"])
async def test_what_a_bot_must_have_cannot_be_cleared(admin: Caller, a_bot: Fields, field: str) -> None:
    bot_id = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    answer = await admin("PATCH", f"/bots/{bot_id}", {field: None})
    assert (answer.status, answer.body["field"]) == (422, field)


async def test_the_market_type_of_a_bot_is_for_good(admin: Caller, a_bot: Fields) -> None:
    bot_id = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    answer = await admin("PATCH", f"/bots/{bot_id}", {"market_type": "spot"})
    assert (answer.status, answer.body["field"]) == (422, "market_type")


async def test_a_path_belongs_to_one_bot(admin: Caller, a_bot: Fields) -> None:
    await admin("POST", "/bots", a_bot)
    again = await admin("POST", "/bots", a_bot)
    assert (again.status, again.body["code"]) == (409, "webhook_path_taken")
    other = (await admin("POST", "/bots", a_bot | {"master_webhook_path": "other"})).body["bot_id"]
    moved = await admin("PATCH", f"/bots/{other}", {"master_webhook_path": "scalper-btc-5min"})
    assert (moved.status, moved.body["code"]) == (409, "webhook_path_taken")


WRONG = [
    ("name", ""),
    ("market_type", "options"),
    ("master_webhook_path", "with/slash"),
    ("master_webhook_path", "x" * 65),
    ("master_secret", ""),
    ("default_leverage", 0),
    ("default_leverage", 126),
    ("default_leverage", "ten"),
    ("default_margin_usd", 0),
    ("default_margin_usd", "NaN"),
    ("default_margin_usd", "1e30"),
    ("default_stop_loss_pct", -1),
    ("default_stop_loss_pct", 100),
    ("default_take_profit_pct", "-0.1"),
    ("rate_limit_per_minute", 0),
    ("duplicate_window_seconds", -1),
    ("max_signal_age_seconds", 0),
    ("on_opposite", "panic"),
    ("max_entries_per_symbol", 0),
    ("margin_type", "cross"),
    ("protection_working_type", "MARK_PRICE"),
    ("price_protect", "perhaps"),
    ("when_symbol_held", None),
    ("webhook_path", "unknown field"),
]


async def test_a_wrong_field_is_refused_naming_it(admin: Caller, a_bot: Fields) -> None:
    for field, value in WRONG:
        answer = await admin("POST", "/bots", a_bot | {field: value})
        assert (answer.status, answer.body.get("field")) == (422, field), (field, value)
    for field in ("name", "market_type", "master_webhook_path", "default_leverage", "default_margin_usd"):
        answer = await admin("POST", "/bots", {name: value for name, value in a_bot.items() if name != field})
        assert (answer.status, answer.body["field"]) == (422, field)
    assert (await admin("GET", "/bots")).body["items"] == []


async def test_a_customer_sees_the_public_part_of_what_is_not_archived(
    admin: Caller, ana: Caller, a_bot: Fields
) -> None:
    shown = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    hidden = (await admin("POST", "/bots", a_bot | {"master_webhook_path": "old"})).body["bot_id"]
    await admin("PATCH", f"/bots/{hidden}", {"status": "archived"})
    (bot,) = (await ana("GET", "/bots")).body["items"]
    assert bot == (await ana("GET", f"/bots/{shown}")).body
    assert bot.keys() == {
        "id",
        "bot_id",
        "name",
        "description",
        "market_type",
        "status",
        "default_leverage",
        "default_margin_usd",
        "default_stop_loss_pct",
        "default_take_profit_pct",
        "margin_type",
        "protection_working_type",
        "price_protect",
        "when_symbol_held",
        "created_at",
    }
    assert (await ana("GET", f"/bots/{hidden}")).status == 404
    assert [item["id"] for item in (await admin("GET", "/bots")).body["items"]] == [hidden, shown]


async def test_a_customer_changes_no_bot(admin: Caller, ana: Caller, a_bot: Fields) -> None:
    path = f"/bots/{(await admin('POST', '/bots', a_bot)).body['bot_id']}"
    refused = [
        await ana("POST", "/bots", a_bot),
        await ana("PATCH", path, {"name": "mine"}),
        await ana("POST", f"{path}/rotate-secret", {}),
    ]
    assert [answer.status for answer in refused] == [403, 403, 403]


async def test_a_rotated_secret_replaces_the_old_one_at_once(registry: Registry, admin: Caller, a_bot: Fields) -> None:
    bot_id = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    await registry.bus.next(BotChanged)
    answer = await admin("POST", f"/bots/{bot_id}/rotate-secret", {"master_secret": "a segunda senha"})
    assert answer.status == 200
    assert "master_secret" not in answer.body
    assert "a segunda senha" not in answer.text
    told = (await registry.bus.next(BotChanged)).bot
    assert (told.revision, opened(registry, told)) == (2, ["a segunda senha"])


async def test_with_an_overlap_the_old_secret_holds_until_its_end_and_only_the_last_one(
    registry: Registry, admin: Caller, a_bot: Fields
) -> None:
    path = f"/bots/{(await admin('POST', '/bots', a_bot)).body['bot_id']}/rotate-secret"
    await registry.bus.next(BotChanged)
    second = (await admin("POST", path, {"overlap_seconds": 600})).body["master_secret"]
    told = (await registry.bus.next(BotChanged)).bot
    assert opened(registry, told) == [second, "minha-senha-super-secreta"]
    new, old = told.secrets
    assert new.valid_until is None
    assert old.valid_until is not None
    assert timedelta(seconds=570) < old.valid_until - SystemClock().now() <= timedelta(seconds=600)
    third = (await admin("POST", path, {"overlap_seconds": 600})).body["master_secret"]
    assert opened(registry, (await registry.bus.next(BotChanged)).bot) == [third, second]


async def test_a_bot_that_is_not_there_answers_404(admin: Caller) -> None:
    for name in ("6f1d3a52-7a0c-4b1e-9a39-0d7c5f2b9e11", "not-an-id"):
        assert (await admin("GET", f"/bots/{name}")).status == 404
        assert (await admin("PATCH", f"/bots/{name}", {"name": "x"})).status == 404
        assert (await admin("POST", f"/bots/{name}/rotate-secret", {})).status == 404


async def test_the_directory_lists_every_bot_for_the_service_token_only(
    registry: Registry, admin: Caller, ana: Caller, a_bot: Fields
) -> None:
    bot_id = (await admin("POST", "/bots", a_bot)).body["bot_id"]
    await admin("PATCH", f"/bots/{bot_id}", {"status": "archived"})
    for token in (None, "wrong", SERVICE_TOKEN[:-1]):
        assert (await registry.call("GET", "/internal/v1/directory", token=token)).status == 401
    answer = await registry.call("GET", "/internal/v1/directory", token=SERVICE_TOKEN)
    (entry,) = answer.body["bots"]
    told = BotEntry.model_validate(entry)
    assert (str(told.bot_id), told.revision, told.status) == (bot_id, 2, "archived")
    assert opened(registry, told) == ["minha-senha-super-secreta"]


async def test_the_api_describes_itself_without_what_is_internal(registry: Registry) -> None:
    described = (await registry.call("GET", "/openapi.json")).body["paths"]
    assert "/api/v1/bots/{bot_id}/rotate-secret" in described
    assert not [path for path in described if path.startswith("/internal")]
