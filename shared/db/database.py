"""A service's database: transactions whose messages leave through the outbox, and nothing but them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.contracts import Message
from shared.db.outbox import Outbox
from shared.errors import Transient

# PostgreSQL error classes after which the same transaction may well succeed: connection lost (08), deadlock or
# serialization (40), too few resources (53), shutdown or start-up (57), not migrated yet (3F000, 42P01, 42703).
_PASSING_STATES = ("08", "40", "53", "57", "3F000", "42P01", "42703")


@dataclass(slots=True)
class Transaction:
    """One transaction: statements through `connection`, messages through `publish`. Both commit or neither."""

    connection: AsyncConnection
    messages: list[tuple[Message, datetime | None]] = field(default_factory=list)

    def publish(self, *messages: Message, not_before: datetime | None = None) -> None:
        """Have these messages published after the commit (and not before that moment), at least once."""
        self.messages.extend((message, not_before) for message in messages)


class Database:
    """The engine of one service and its outbox."""

    def __init__(self, url: str, schema: str, *, connections: int = 10) -> None:
        """`url` as SQLAlchemy writes it, with asyncpg or aiosqlite. `connections` at most, on PostgreSQL."""
        self.schema = schema
        self.engine = _engine(url, schema, connections)
        self.outbox = Outbox(schema)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit at the end of the block, roll back on an exception.

        Raises Transient while the database cannot be reached; what the block raises goes through.
        """
        try:
            async with self.engine.begin() as connection:
                transaction = Transaction(connection)
                yield transaction
                if transaction.messages:
                    await self.outbox.add(connection, transaction.messages)
        except (DBAPIError, PoolTimeout, OSError) as error:
            if is_passing(error):
                raise Transient(f"database {self.schema}: {error}") from error
            raise
        if transaction.messages:
            self.outbox.ring()

    async def waiting_for(self) -> str | None:
        """What keeps the database from answering, in words; null when it answers and is migrated."""
        try:
            async with asyncio.timeout(2), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                await connection.execute(self.outbox.probe)
        except (DBAPIError, PoolTimeout, OSError) as error:
            return f"database {self.schema}: {type(error).__name__}"
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close the connections at the end of the block."""
        try:
            yield
        finally:
            await self.engine.dispose()


def is_passing(error: BaseException) -> bool:
    """Whether the database was away or busy, so that the same work may succeed later."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError | PoolTimeout)
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError)
        or state.startswith(_PASSING_STATES)
    )


def _engine(url: str, schema: str, connections: int) -> AsyncEngine:
    if url.startswith("sqlite"):
        # One connection: SQLite has one writer, and read-then-write is safe when nobody is in between.
        engine = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True).execution_options(
            schema_translate_map={schema: None}
        )
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        return engine
    return create_async_engine(url, pool_size=connections, max_overflow=0, hide_parameters=True)


def _tune_sqlite(connection: Engine, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI connection, which SQLAlchemy does not type
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
