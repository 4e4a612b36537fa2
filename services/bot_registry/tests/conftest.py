"""Fixtures of the bot registry's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import delete

from conftest import POSTGRES
from services.bot_registry.settings import Settings
from services.bot_registry.tables import metadata
from services.bot_registry.tests.registry_world import (
    EXECUTOR_KEY,
    SERVICE_TOKEN,
    Caller,
    FakeExchange,
    Registry,
    running,
)
from shared import sealing
from shared.db import migrate
from shared.db.database import Database
from shared.web.auth import Role


@pytest.fixture
async def exchange() -> AsyncIterator[FakeExchange]:
    fake = FakeExchange({"key-of-ana-1234": "secret-of-ana"})
    async with TestServer(fake.application()) as running:
        fake.base_url = str(running.make_url("")).rstrip("/")
        yield fake


@pytest.fixture
def settings(exchange: FakeExchange) -> Settings:
    return Settings.model_validate(
        {
            "service_token": SERVICE_TOKEN,
            "webhook_secret_keys": sealing.new_key(),
            "token_private_key": sealing.new_key(),
            "sealing_public_key": sealing.public_key_of(EXECUTOR_KEY),
            "paper_exchange_url": exchange.base_url,
            "binance_spot_url": exchange.base_url,
            "binance_testnet_futures_url": exchange.base_url,
        }
    )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A database of each kind, migrated once for all tests."""
    server, name = POSTGRES.rsplit("/", 1)[0], f"tradecast_registry_{uuid4().hex[:12]}"
    urls = {
        "sqlite": f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('registry')}/registry.db",
        "postgresql": server.replace("postgresql://", "postgresql+asyncpg://", 1) + f"/{name}",
    }

    async def on_server(statement: str) -> None:
        admin = await asyncpg.connect(POSTGRES)
        await admin.execute(statement)
        await admin.close()

    async def upgrade(url: str) -> None:
        opened = Database(url, "registry")
        await migrate.upgrade(opened, "bot_registry")
        await opened.engine.dispose()

    asyncio.run(on_server(f"CREATE DATABASE {name}"))
    for url in urls.values():
        asyncio.run(upgrade(url))
    yield urls
    asyncio.run(on_server(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, migrated: dict[str, str]) -> AsyncIterator[Database]:
    """The registry's database, empty; a test that takes this runs once on each kind."""
    opened = Database(migrated[request.param], "registry")
    async with opened.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(delete(table))
    yield opened
    await opened.engine.dispose()


@pytest.fixture
async def registry(settings: Settings, database: Database) -> AsyncIterator[Registry]:
    async with running(settings, database) as started:
        yield started


@pytest.fixture
async def admin(registry: Registry) -> Caller:
    return await registry.user(Role.ADMIN)


@pytest.fixture
async def ana(registry: Registry) -> Caller:
    return await registry.user(Role.CUSTOMER)


@pytest.fixture
async def ben(registry: Registry) -> Caller:
    return await registry.user(Role.CUSTOMER)


@pytest.fixture
def a_bot() -> dict[str, Any]:
    """The source document's own bot."""
    return {
        "name": "Bot Scalper BTC 5min",
        "description": "Bot que opera no cruzamento de EMAs no 5min",
        "market_type": "futures",
        "master_webhook_path": "scalper-btc-5min",
        "master_secret": "minha-senha-super-secreta",
        "default_leverage": 10,
        "default_margin_usd": 100,
        "default_stop_loss_pct": 2.5,
        "default_take_profit_pct": 5.0,
    }


@pytest.fixture
def an_account() -> dict[str, Any]:
    return {
        "label": "Minha Binance",
        "exchange": "binance",
        "environment": "paper",
        "api_key": "key-of-ana-1234",
        "api_secret": "secret-of-ana",
    }
