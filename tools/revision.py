"""Drafts a migration: `python -m tools.revision bot_registry "add key age"` compares tables.py with the last one.

Read and mend what it writes before committing: a migration must suit the previous release too.
"""

import asyncio
import importlib
import re
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import render_python_code

from shared.db import migrate
from shared.db.database import Database


async def draft(service: str, title: str) -> Path:
    """Write the next migration of a service and return its file."""
    tables = importlib.import_module(f"services.{service}.tables")
    versions = Path("services", service, "migrations", "versions")
    versions.mkdir(parents=True, exist_ok=True)
    number = len(list(versions.glob("[0-9]*.py"))) + 1
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/draft.db", tables.metadata.schema)
        await migrate.upgrade(database, service)
        async with database.engine.connect() as connection:
            script = await connection.run_sync(migrate.autogenerate, tables.metadata, database.schema)
        await database.engine.dispose()
    assert script.upgrade_ops is not None
    body = render_python_code(script.upgrade_ops, migration_context=None)
    file = versions / f"{number:04}_{re.sub(r'[^a-z0-9]+', '_', title.lower())}.py"
    down = f'"{number - 1:04}"' if number > 1 else "None"
    file.write_text(
        f'"""{title.capitalize()}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nimport shared.db.types\n\n'
        f'revision = "{number:04}"\ndown_revision = {down}\n\n\ndef upgrade() -> None:\n    {body}\n'
    )
    return file


if __name__ == "__main__":
    print(asyncio.run(draft(sys.argv[1], sys.argv[2])))
