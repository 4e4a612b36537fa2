from collections.abc import AsyncIterator, Callable

import pytest

from conftest import HandClock
from services.ledger.tests.ledger_builders import House, running
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import LEDGER
from shared.db import migrate
from shared.db.database import Database


@pytest.fixture
async def database(make_database: Callable[[str], Database]) -> Database:
    """A migrated, empty ledger; the test runs once on each database."""
    database = make_database("ledger")
    await migrate.upgrade(database, "ledger")
    return database


@pytest.fixture
def bus() -> InProcessBus:
    return InProcessBus((LEDGER,))


@pytest.fixture
async def house(database: Database, bus: InProcessBus, clock: HandClock) -> AsyncIterator[House]:
    """A running ledger, which hears at once of what it writes itself."""
    async with running(database, bus, clock, change_poll_ms=60_000) as house:
        yield house
