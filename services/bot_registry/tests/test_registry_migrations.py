"""The migrated database is what tables.py says."""

from collections.abc import Callable

from services.bot_registry.tables import metadata
from shared.db import migrate
from shared.db.database import Database


async def test_the_migrations_lead_to_the_tables_and_doing_them_again_changes_nothing(
    make_database: Callable[[str], Database],
) -> None:
    database = make_database("registry")
    for _ in range(2):
        await migrate.upgrade(database, "bot_registry")
        assert await migrate.difference(database, metadata) == []
