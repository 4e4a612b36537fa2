"""Migrations, by Alembic: each service's scripts stand in its `migrations/versions`, forward only.

A migration must suit the previous release too: old and new processes run side by side during an upgrade.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic.autogenerate import api
from alembic.config import Config
from alembic.ddl.base import AddColumn, visit_add_column
from alembic.operations.ops import MigrationScript
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateSchema

from shared.db.database import Database


@compiles(AddColumn, "sqlite")
def _add_column(element: AddColumn, compiler: Any, **options: Any) -> str:
    """`op.add_column` on SQLite, which has no schemas: unlike `op.create_table`, Alembic's does not translate ours."""
    element.schema = None
    return visit_add_column(element, compiler, **options)


async def upgrade(database: Database, service: str) -> None:
    """Bring the schema of `services.<service>` to its newest version. Doing so twice changes nothing."""
    async with database.engine.begin() as connection:
        await connection.run_sync(_upgrade, _scripts(service), database.schema)


def _scripts(service: str) -> ScriptDirectory:
    folder = Path(str(files(f"services.{service}"))) / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, scripts: ScriptDirectory, schema: str) -> None:
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.execute(CreateSchema(schema, if_not_exists=True))

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - what Alembic's own upgrade command calls

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, version_table_schema=schema if on_postgresql else None)
        environment.run_migrations()


async def difference(database: Database, metadata: MetaData) -> list[Any]:
    """What stands in `metadata` but not in the migrated database, or the reverse; empty when they agree."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(_difference, metadata, database.schema)


def _difference(connection: Connection, metadata: MetaData, schema: str) -> list[Any]:
    return list(api.compare_metadata(_context(connection, schema), metadata))


def autogenerate(connection: Connection, metadata: MetaData, schema: str) -> MigrationScript:
    """The operations that lead from the migrated database to `metadata`: the draft of a new migration."""
    return api.produce_migrations(_context(connection, schema), metadata)


def _context(connection: Connection, schema: str) -> MigrationContext:
    def ours(name: str | None, kind: str, _parents: Any) -> bool:
        return name == schema if kind == "schema" else name != "alembic_version"

    if connection.dialect.name == "sqlite" and schema not in _attached(connection):
        # a schema is a file there: under its name, Alembic finds the tables where the metadata says they are
        connection.exec_driver_sql(f"ATTACH DATABASE ? AS {schema}", (connection.engine.url.database,))
    options = {"include_schemas": True, "include_name": ours, "compare_type": True, "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options)


def _attached(connection: Connection) -> list[str]:
    return [row.name for row in connection.exec_driver_sql("PRAGMA database_list")]
