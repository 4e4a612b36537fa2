"""Log-in, users, and who may do what."""

import re

import pytest
from pydantic import SecretStr

from services.bot_registry import passwords
from services.bot_registry.settings import Settings
from services.bot_registry.tests.registry_world import (
    ADMIN_PASSWORD,
    SERVICE_TOKEN,
    Caller,
    Registry,
    running,
    with_admin,
)
from shared.db.database import Database


async def log_in(registry: Registry, email: str, password: str) -> tuple[int, str]:
    answer = await registry.call("POST", "/api/v1/auth/login", {"email": email, "password": password})
    return answer.status, answer.body.get("code") or answer.body["access_token"]


async def test_the_first_administrator_can_log_in_and_is_told_for_how_long(
    settings: Settings, database: Database
) -> None:
    async with running(with_admin(settings), database) as registry:
        credentials = {"email": " ADMIN@example.COM", "password": ADMIN_PASSWORD}
        answer = await registry.call("POST", "/api/v1/auth/login", credentials)
        assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (200, "bearer", 8 * 3600)
        me = await registry.call("GET", "/api/v1/users/me", token=answer.body["access_token"])
        assert (me.status, me.body["email"], me.body["role"]) == (200, "admin@example.com", "admin")


async def test_the_administrator_of_a_second_start_keeps_the_password(settings: Settings, database: Database) -> None:
    async with running(with_admin(settings), database):
        pass
    async with running(with_admin(settings, "another password"), database) as registry:
        assert (await log_in(registry, "admin@example.com", ADMIN_PASSWORD))[0] == 200
        assert await log_in(registry, "admin@example.com", "another password") == (401, "wrong_credentials")


async def test_an_unknown_user_and_a_wrong_password_look_the_same(settings: Settings, database: Database) -> None:
    async with running(with_admin(settings), database) as registry:
        wrong = await registry.call("POST", "/api/v1/auth/login", {"email": "admin@example.com", "password": "wrong"})
        unknown = await registry.call("POST", "/api/v1/auth/login", {"email": "who@example.com", "password": "wrong"})
        assert (wrong.status, wrong.text) == (unknown.status, unknown.text)
        assert wrong.status == 401


async def test_looking_for_an_unknown_user_is_the_same_work() -> None:
    work = r"\$argon2id\$v=19\$m=65536,t=3,p=4\$"
    assert re.match(work, passwords._NOBODYS)
    assert re.match(work, await passwords.hash_of(SecretStr("any")))


async def test_an_administrator_makes_users_who_can_log_in(registry: Registry, admin: Caller) -> None:
    body = {"email": "Cli@Example.com", "password": "uma senha boa", "role": "customer"}
    created = await admin("POST", "/users", body)
    assert created.status == 201
    status, token = await log_in(registry, "cli@example.com", "uma senha boa")
    assert status == 200
    me = await registry.call("GET", "/api/v1/users/me", token=token)
    assert me.body["id"] == created.body["user_id"]
    assert "uma senha boa" not in created.text + me.text
    assert "argon2" not in created.text + me.text


async def test_an_email_is_one_user_however_it_is_written(admin: Caller) -> None:
    body = {"email": "cli@example.com", "password": "uma senha boa", "role": "customer"}
    assert (await admin("POST", "/users", body)).status == 201
    again = await admin("POST", "/users", body | {"email": "CLI@Example.com"})
    assert (again.status, again.body["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "no at sign"), ("password", "7 chars"), ("role", "boss"), ("nickname", "x")],
)
async def test_a_user_with_a_wrong_field_is_refused_naming_it(admin: Caller, field: str, value: str) -> None:
    body = {"email": "cli@example.com", "password": "uma senha boa", "role": "customer"} | {field: value}
    answer = await admin("POST", "/users", body)
    assert (answer.status, answer.body["field"]) == (422, field)
    assert "7 chars" not in answer.text


async def test_only_an_administrator_may_make_or_see_users(admin: Caller, ana: Caller) -> None:
    body = {"email": "cli@example.com", "password": "uma senha boa", "role": "admin"}
    for answer in (await ana("POST", "/users", body), await ana("GET", "/users")):
        assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_users_are_listed_newest_first_page_by_page(admin: Caller, ana: Caller, ben: Caller) -> None:
    first = await admin("GET", "/users?limit=2")
    assert [user["id"] for user in first.body["items"]] == [str(ben.user_id), str(ana.user_id)]
    second = await admin("GET", f"/users?limit=2&cursor={first.body['next_cursor']}")
    assert [user["id"] for user in second.body["items"]] == [str(admin.user_id)]
    assert second.body["next_cursor"] is None


async def test_a_page_holds_two_hundred_at_most(admin: Caller) -> None:
    assert (await admin("GET", "/users?limit=201")).body["field"] == "limit"


@pytest.mark.parametrize("path", ["/users/me", "/users", "/bots", "/exchange-accounts", "/subscriptions"])
async def test_without_a_token_nothing_is_answered(registry: Registry, path: str) -> None:
    for token in (None, "nonsense", SERVICE_TOKEN):
        assert (await registry.call("GET", f"/api/v1{path}", token=token)).status == 401
