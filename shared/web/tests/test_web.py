"""Routes, problems, tokens and the OpenAPI document, over real connections."""

import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import uuid4

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, SecretStr

from shared.errors import Transient
from shared.money import Amount
from shared.sealing import new_key
from shared.service import Service, State
from shared.web.auth import Identity, Role, TokenIssuer, TokenVerifier
from shared.web.problems import Problem
from shared.web.routes import Access, Call, Nothing, Request, Route, mount
from shared.web.server import application

ISSUER = TokenIssuer(new_key(), timedelta(minutes=15))
CUSTOMER, ADMIN = Identity(uuid4(), Role.CUSTOMER), Identity(uuid4(), Role.ADMIN)
Client = TestClient[web.Request, web.Application]


class Kind(StrEnum):
    FUTURES = "futures"
    SPOT = "spot"


class Leg(Request):
    price: Amount


class NewThing(Request):
    name: str
    margin: Amount
    kind: Kind = Kind.FUTURES
    legs: tuple[Leg, ...] = ()
    secret: SecretStr | None = None


class Page(Request):
    limit: int = 50
    kind: Kind | None = None


class Thing(BaseModel):
    name: str
    margin: Amount
    limit: int = 0
    owner: str = ""


async def make(call: Call[NewThing, Nothing]) -> Thing:
    return Thing(name=call.body.name, margin=call.body.margin, owner=str(call.user.user_id))


async def show(call: Call[Nothing, Page]) -> Thing:
    call.id("thing_id", "thing")
    return Thing(name=str(call.query.kind), margin=Decimal("0.50"), limit=call.query.limit)


async def drop(_call: Call[Nothing, Nothing]) -> Nothing:
    return Nothing()


async def fail(call: Call[Nothing, Nothing]) -> Nothing:
    raise {
        "problem": Problem(409, "path_taken", "Choose another path.", headers={"X-Hint": "1"}, field="path"),
        "away": Transient("database ledger: password hush"),
        "bug": RuntimeError("hush"),
    }[call.path["how"]]


ROUTES = [
    Route("POST", "/api/v1/things", make, "Make a thing", body=NewThing, answer=Thing, status=201, tag="things"),
    Route("GET", "/api/v1/things/{thing_id}", show, "One thing", query=Page, answer=Thing, tag="things"),
    Route("DELETE", "/api/v1/things/{thing_id}", drop, "Drop it", access=Access.ADMIN, tag="things"),
    Route("GET", "/api/v1/fail/{how}", fail, "Fail", access=Access.ANYONE, tag="failures"),
]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    service = Service("test", [], mount=lambda app: mount(app, ROUTES))
    app = application([State(service, started=True)], TokenVerifier(ISSUER.public_key))
    async with TestClient(TestServer(app)) as client:
        yield client


def bearer(identity: Identity = CUSTOMER) -> dict[str, str]:
    token = ISSUER.issue(identity, datetime.now(UTC))
    return {"Authorization": f"Bearer {token}"}


async def problem(client: Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The problem document that a request is answered with."""
    async with client.request(method, path, **request) as answer:
        assert answer.content_type == "application/problem+json"
        document: dict[str, Any] = await answer.json()
        assert document["status"] == answer.status
        assert {"type", "status", "code", "detail"} <= document.keys()
        return document


async def test_a_body_is_checked_and_the_answer_is_the_model(client: Client) -> None:
    body = b'{"name": "one", "margin": 0.10000000000000000001}'
    async with client.post("/api/v1/things", data=body, headers=bearer()) as answer:
        assert answer.status == 201
        assert await answer.json() == {
            "name": "one",
            "margin": "0.10000000000000000001",
            "limit": 0,
            "owner": str(CUSTOMER.user_id),
        }


async def test_a_query_is_checked_and_has_its_defaults(client: Client) -> None:
    path = f"/api/v1/things/{uuid4()}"
    async with client.get(path, headers=bearer()) as answer:
        assert (await answer.json())["limit"] == 50
    async with client.get(path, params={"limit": "7", "kind": "spot"}, headers=bearer()) as answer:
        assert await answer.json() == {"name": "spot", "margin": "0.5", "limit": 7, "owner": ""}
    assert (await problem(client, "GET", path, params={"limit": "x"}, headers=bearer()))["field"] == "limit"
    assert (await problem(client, "GET", path, params={"limits": "7"}, headers=bearer()))["field"] == "limits"


async def test_an_answer_of_nothing_is_204(client: Client) -> None:
    async with client.delete("/api/v1/things/1", headers=bearer(ADMIN)) as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"margin": "1"}, "name"),
        ({"name": "x", "margin": "NaN"}, "margin"),
        ({"name": "x", "margin": "1", "kind": "options"}, "kind"),
        ({"name": "x", "margin": "1", "legs": [{"price": "1"}, {"price": "a"}]}, "legs.1.price"),
        ({"name": "x", "margin": "1", "colour": "red"}, "colour"),
        ({"name": "x", "margin": "1", "legs": [{"price": "1", "size": 1}]}, "legs.0.size"),
        ([], "body"),
    ],
)
async def test_a_wrong_missing_or_unknown_field_is_named(client: Client, body: object, field: str) -> None:
    document = await problem(client, "POST", "/api/v1/things", json=body, headers=bearer())
    assert (document["status"], document["code"], document["field"]) == (422, "invalid_request", field)
    assert document["detail"].startswith(f"{field}: ")
    assert [error["field"] for error in document["errors"]] == [field] or field == "name"


async def test_every_wrong_field_is_told_and_no_value_of_any(client: Client) -> None:
    body = {"name": 1, "margin": "hush", "secret": ["hush"]}
    document = await problem(client, "POST", "/api/v1/things", json=body, headers=bearer())
    assert [error["field"] for error in document["errors"]] == ["name", "margin", "secret"]
    assert "hush" not in str(document)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": NaN}', b"[" * 50_000], ids=["cut", "bytes", "nan", "deep"])
async def test_a_body_that_is_not_json_is_422(client: Client, body: bytes) -> None:
    document = await problem(client, "POST", "/api/v1/things", data=body, headers=bearer())
    assert (document["status"], document["code"], document["field"]) == (422, "invalid_json", "body")


async def test_a_body_beyond_a_megabyte_is_413(client: Client) -> None:
    document = await problem(client, "POST", "/api/v1/things", data=io.BytesIO(b" " * (1 << 21)), headers=bearer())
    assert document["status"] == 413


async def test_an_id_that_is_none_names_nothing(client: Client) -> None:
    document = await problem(client, "GET", "/api/v1/things/latest", headers=bearer())
    assert (document["status"], document["code"], document["detail"]) == (404, "not_found", "There is no such thing.")


async def test_paths_and_methods_that_are_not_there_are_problems_too(client: Client) -> None:
    assert (await problem(client, "GET", "/nowhere"))["code"] == "not_found"
    async with client.put("/api/v1/things") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json())["code"] == "method_not_allowed"


async def test_a_problem_has_its_code_members_and_headers(client: Client) -> None:
    async with client.get("/api/v1/fail/problem") as answer:
        assert (answer.status, answer.headers["X-Hint"]) == (409, "1")
        assert await answer.json() == {
            "type": "about:blank",
            "status": 409,
            "code": "path_taken",
            "detail": "Choose another path.",
            "field": "path",
        }


async def test_what_is_away_is_503_with_a_time_to_try_again_and_a_bug_is_500_and_neither_tells_details(
    client: Client,
) -> None:
    for how, status, code in (("away", 503, "temporarily_unavailable"), ("bug", 500, "internal_error")):
        document = await problem(client, "GET", f"/api/v1/fail/{how}")
        assert (document["status"], document["code"]) == (status, code)
        assert "hush" not in str(document)
    async with client.get("/api/v1/fail/away") as answer:
        assert int(answer.headers["Retry-After"]) > 0


def bad_tokens() -> Iterator[tuple[str, str]]:
    now = datetime.now(UTC)
    claims = {"iss": "tradecast", "sub": str(uuid4()), "role": "admin", "iat": now, "exp": now + timedelta(hours=1)}
    stranger, ours = Ed25519PrivateKey.generate(), ISSUER._key
    yield "none", ""
    yield "garbage", "Bearer x.y.z"
    yield "other kind", "Basic dXNlcjpwYXNz"
    yield "stranger's", "Bearer " + jwt.encode(claims, stranger, "EdDSA")
    yield "unsigned", "Bearer " + jwt.encode(claims, "", "none")
    yield "public key as password", "Bearer " + jwt.encode(claims, ISSUER.public_key, "HS256")
    yield "expired", "Bearer " + ISSUER.issue(CUSTOMER, now - timedelta(hours=1))
    yield "of another issuer", "Bearer " + jwt.encode(claims | {"iss": "x"}, ours, "EdDSA")
    yield "of an unknown role", "Bearer " + jwt.encode(claims | {"role": "root"}, ours, "EdDSA")
    yield "of nobody", "Bearer " + jwt.encode(claims | {"sub": "me"}, ours, "EdDSA")


@pytest.mark.parametrize(("_what", "header"), list(bad_tokens()), ids=[what for what, _ in bad_tokens()])
async def test_without_a_valid_token_nobody_gets_in(client: Client, _what: str, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    for method, path in (("POST", "/api/v1/things"), ("DELETE", "/api/v1/things/1")):
        document = await problem(client, method, path, headers=headers)
        assert (document["status"], document["code"]) == (401, "not_authenticated")
    async with client.post("/api/v1/things", headers=headers) as answer:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_customer_may_not_do_what_only_an_administrator_may(client: Client) -> None:
    document = await problem(client, "DELETE", "/api/v1/things/1", headers=bearer(CUSTOMER))
    assert (document["status"], document["code"]) == (403, "forbidden")


async def test_a_token_in_the_query_counts_for_a_live_stream_only_and_is_no_unknown_field(client: Client) -> None:
    path, token = f"/api/v1/things/{uuid4()}", {"access_token": ISSUER.issue(CUSTOMER, datetime.now(UTC))}
    async with client.get(path, params=token, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status == 200
    assert (await problem(client, "GET", path, params=token))["status"] == 401


def test_a_customer_sees_their_own_and_an_administrator_all() -> None:
    assert CUSTOMER.scope == CUSTOMER.user_id
    assert ADMIN.scope is None
    assert ADMIN.is_admin
    assert not CUSTOMER.is_admin


async def test_metrics_are_served(client: Client) -> None:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert "# HELP" in await answer.text()


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for item in part.values():
            yield from references(item)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


async def test_the_openapi_document_describes_every_route_and_all_its_references_lead_somewhere(client: Client) -> None:
    async with client.get("/openapi.json") as answer:
        document = await answer.json()
    assert document["openapi"].startswith("3.1")
    assert {(path, method.upper()) for path, item in document["paths"].items() for method in item} == {
        (route.path, route.method) for route in ROUTES
    }
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all("default" in operation["responses"] for operation in operations)


async def test_an_operation_says_what_it_takes_gives_and_asks_for(client: Client) -> None:
    async with client.get("/openapi.json") as answer:
        document = await answer.json()
    making, showing = document["paths"]["/api/v1/things"]["post"], document["paths"]["/api/v1/things/{thing_id}"]["get"]
    failing = document["paths"]["/api/v1/fail/{how}"]["get"]
    taken = making["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert document["components"]["schemas"][taken]["required"] == ["name", "margin"]
    assert "201" in making["responses"]
    assert making["security"] == [{"bearer": []}]
    assert "security" not in failing
    assert [(p["name"], p["in"], p["required"]) for p in showing["parameters"]] == [
        ("thing_id", "path", True),
        ("limit", "query", False),
        ("kind", "query", False),
    ]
    assert "204" in document["paths"]["/api/v1/things/{thing_id}"]["delete"]["responses"]


async def test_the_page_for_people_lists_every_route(client: Client) -> None:
    async with client.get("/docs") as answer:
        page = await answer.text()
    assert all(f"{route.method} {route.path}" in page for route in ROUTES)
