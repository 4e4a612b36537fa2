"""A service's database with its outbox."""

from collections.abc import Callable

import pytest
from sqlalchemy.schema import CreateSchema

from shared.db.database import Database


@pytest.fixture
async def database(make_database: Callable[[str], Database]) -> Database:
    """The ledger's database, migrated as far as the outbox goes."""
    database = make_database("ledger")
    async with database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(CreateSchema(database.schema))
        await connection.run_sync(database.outbox.table.metadata.create_all)
    return database
