"""Fixtures of the whole suite: real PostgreSQL, RabbitMQ and Redis; what is missing fails loudly, never skips."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from shared import logging
from shared.db.database import Database

# unconfigured, structlog draws every traceback with its local variables: slow, and a test's secrets among them
logging.configure("WARNING", "json")

# how fast a machine draws examples is no property of ours
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
AMQP = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def forward(self, **delta: float) -> None:
        self.moment += timedelta(**delta)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """An empty PostgreSQL database of the test's own."""
    name = f"tradecast_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(POSTGRES)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield POSTGRES.replace("postgresql://", "postgresql+asyncpg://", 1).rsplit("/", 1)[0] + f"/{name}"
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both databases that a service may stand on; a test that takes this runs once on each."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/service.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def make_database(database_url: str) -> AsyncIterator[Callable[[str], Database]]:
    """Opens the test's database as a service's schema; closed at the end."""
    opened: list[Database] = []

    def make(schema: str) -> Database:
        opened.append(Database(database_url, schema))
        return opened[-1]

    yield make
    for database in opened:
        await database.engine.dispose()


@pytest.fixture
def amqp_url() -> str:
    """RabbitMQ's address."""
    return AMQP
