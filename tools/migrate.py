"""Brings every service's schema to its newest version: `make migrate`. Makes the database where it is missing."""

import asyncio
import os

import asyncpg
from sqlalchemy.engine import make_url

from shared.db import migrate
from shared.db.database import Database
from tools.environment import local

SCHEMAS = {"bot_registry": "registry", "executor": "executor", "ledger": "ledger"}


async def main(environment: dict[str, str]) -> None:
    """Migrate all schemas, each in the database of its service."""
    for service, schema in SCHEMAS.items():
        url = environment.get(f"{service}_DATABASE_URL".upper(), environment["DATABASE_URL"])
        await _create(url)
        database = Database(url, schema)
        await migrate.upgrade(database, service)
        await database.engine.dispose()
        print(f"{schema}: migrated", flush=True)


async def _create(url: str) -> None:
    """Make the database; one that is there, or that we may not make, is left to the migration to find."""
    parts = make_url(url)
    if parts.get_backend_name() != "postgresql":
        return
    admin = parts.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(admin)
    except (asyncpg.PostgresError, OSError):
        return
    try:
        await connection.execute(f'CREATE DATABASE "{parts.database}"')
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main(local(os.environ)))
