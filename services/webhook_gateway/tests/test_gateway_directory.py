"""What the gateway knows of its bots, and when it learns it."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from services.webhook_gateway import directory as directory_module
from services.webhook_gateway.app import build
from services.webhook_gateway.directory import Directory
from services.webhook_gateway.settings import SECRET_CONTEXT, Settings
from services.webhook_gateway.snapshot import from_registry
from shared import service as service_module
from shared.bus import Envelope
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import LEDGER
from shared.contracts import BotChanged, BotEntry
from shared.errors import Transient
from shared.sealing import Cipher

OTHER = UUID(int=5)


@pytest.fixture
def directory(key: str) -> Directory:
    async def snapshot() -> Sequence[BotEntry]:
        return ()

    return Directory(snapshot, Cipher(key, SECRET_CONTEXT))


def test_a_higher_revision_wins_and_a_lower_one_never(directory: Directory, an_entry: Any) -> None:
    for revision, status in ((2, "paused"), (1, "active"), (2, "active")):
        directory.learn(an_entry(revision=revision, status=status))
    bot = directory.find("scalper-btc-5min")
    assert bot is not None
    assert (bot.entry.revision, bot.entry.status) == (2, "paused")


def test_a_bot_with_a_changed_path_moves(directory: Directory, an_entry: Any) -> None:
    directory.learn(an_entry())
    directory.learn(an_entry(revision=2, webhook_path="new"))
    assert directory.find("scalper-btc-5min") is None
    assert directory.find("new") is not None


def test_a_path_taken_over_stays_with_its_new_bot_in_whatever_order_the_news_come(
    directory: Directory, an_entry: Any
) -> None:
    directory.learn(an_entry())
    directory.learn(an_entry(bot_id=OTHER))  # takes the path, but is heard of first
    directory.learn(an_entry(revision=2, webhook_path="moved"))
    bot = directory.find("scalper-btc-5min")
    assert bot is not None
    assert bot.entry.bot_id == OTHER


def test_secrets_are_decrypted_into_a_type_that_does_not_print(directory: Directory, an_entry: Any) -> None:
    directory.learn(an_entry())
    bot = directory.find("scalper-btc-5min")
    assert bot is not None
    assert bot.secrets[0].text.get_secret_value() == "minha-senha-super-secreta"
    assert "minha-senha" not in repr(bot)


async def test_while_the_registry_is_away_nothing_known_is_forgotten(
    key: str, an_entry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "_RELOAD_S", 0.001)
    monkeypatch.setattr(service_module, "_RESTART_AFTER_S", (0.001,))
    answers: list[Any] = [Transient("away"), (an_entry(),), Transient("away"), (an_entry(revision=2),)]
    asked_all = asyncio.Event()

    async def snapshot() -> Sequence[BotEntry]:
        if not answers:
            asked_all.set()
            raise Transient("away")
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    directory = Directory(snapshot, Cipher(key, SECRET_CONTEXT))
    assert await directory.waiting_for() == "bot directory from the registry"
    async with directory.running():
        await asked_all.wait()
    assert await directory.waiting_for() is None
    bot = directory.find("scalper-btc-5min")
    assert bot is not None
    assert bot.entry.revision == 2


async def test_before_the_first_snapshot_no_path_is_called_unknown(
    key: str, bus: Any, clock: Any, served: Any, alert: Any
) -> None:
    async def snapshot() -> Sequence[BotEntry]:
        raise Transient("away")

    service = build(Settings(webhook_secret_keys=SecretStr(key)), bus, clock, snapshot)
    async with served(service, until_ready=False) as client:
        ready = await client.get("/readyz")
        assert (ready.status, (await ready.json())["for"]) == (503, "bot directory from the registry")
        answer = await client.post("/api/v1/bots/webhook/master/new", json=alert)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_a_bot_changed_on_the_bus_holds_at_once(
    key: str, clock: Any, an_entry: Any, served: Any, alert: Any
) -> None:
    async def snapshot() -> Sequence[BotEntry]:
        return (an_entry(),)

    bus = InProcessBus()
    changed = BotChanged(id=OTHER, occurred_at=clock.now(), bot=an_entry(revision=2, status="paused"))
    async with served(build(Settings(webhook_secret_keys=SecretStr(key)), bus, clock, snapshot)) as client:
        async with bus.consuming(LEDGER, _ignore):
            await bus.publish([Envelope.of(changed)], within_s=1)
        answer = await client.post("/api/v1/bots/webhook/master/scalper-btc-5min", json=alert)
        assert (answer.status, (await answer.json())["code"]) == (400, "bot_not_active")


async def _ignore(_messages: Any) -> None:
    pass


async def test_the_registry_is_asked_with_the_service_token(an_entry: Any) -> None:
    entry = an_entry()

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t0ken"
        return web.json_response({"bots": [entry.model_dump(mode="json")]})

    app = web.Application()
    app.router.add_get("/internal/v1/directory", answer)
    async with TestServer(app) as registry:
        assert list(await from_registry(str(registry.make_url("/")), SecretStr("t0ken"))()) == [entry]


@pytest.mark.parametrize("body", ["{}", "<html>", None])
async def test_a_registry_that_does_not_answer_properly_is_away(body: str | None) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=500) if body is None else web.Response(text=body)

    app = web.Application()
    app.router.add_get("/internal/v1/directory", answer)
    async with TestServer(app) as registry:
        url = str(registry.make_url("/"))
        with pytest.raises(Transient, match="registry"):
            await from_registry(url, SecretStr("t0ken"))()
    with pytest.raises(Transient, match="registry"):  # now nobody listens there
        await from_registry(url, SecretStr("t0ken"))()


async def test_a_path_unknown_here_is_asked_for_once_a_second_at_most(key: str, an_entry: Any) -> None:
    asked = 0

    async def snapshot() -> Sequence[BotEntry]:
        nonlocal asked
        asked += 1
        return (an_entry(),)

    directory = Directory(snapshot, Cipher(key, SECRET_CONTEXT))
    found = await asyncio.gather(*(directory.ask_for("scalper-btc-5min") for _ in range(10)))
    assert all(bot is not None for bot in found)
    assert [await directory.ask_for("nobody") for _ in range(10)] == [None] * 10
    assert asked == 1


async def test_while_the_registry_is_away_an_unknown_path_stays_unknown(key: str) -> None:
    async def away() -> Sequence[BotEntry]:
        raise Transient("registry")

    assert await Directory(away, Cipher(key, SECRET_CONTEXT)).ask_for("nobody") is None
