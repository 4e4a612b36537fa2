"""Exchange accounts. Their keys are stored sealed; this service cannot open them again."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, delete, insert, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bot_registry.store import Taken, Values, newest_first, row, rows, write
from services.bot_registry.tables import exchange_accounts as accounts


def _seen_by(scope: UUID | None) -> ColumnElement[bool]:
    return true() if scope is None else accounts.c.user_id == scope


async def add(connection: AsyncConnection, values: Values, key_digests: Sequence[str]) -> None:
    """A new account, known by the first of its key's digests. Raises Taken if any of them is another account's."""
    if await rows(connection, select(accounts.c.id).where(accounts.c.key_digest.in_(key_digests))):
        raise Taken
    added = insert(accounts).values(values | {"key_digest": key_digests[0], "last_sequence": 0})
    await write(connection, added.returning(accounts.c.id))


async def page(
    connection: AsyncConnection, limit: int, before: UUID | None, scope: UUID | None
) -> Sequence[RowMapping]:
    """The accounts of `scope` (null: everybody's), newest first."""
    query = newest_first(select(accounts).where(_seen_by(scope)), accounts.c.id, limit, before)
    return await rows(connection, query)


async def lock(connection: AsyncConnection, account_id: UUID, scope: UUID | None) -> bool:
    """Whether there is such an account of `scope`; if so, it stays until the transaction ends."""
    query = select(accounts.c.id).where(accounts.c.id == account_id, _seen_by(scope)).with_for_update()
    return await row(connection, query) is not None


async def remove(connection: AsyncConnection, account_id: UUID) -> None:
    """Forget an account and its sealed key."""
    await connection.execute(delete(accounts).where(accounts.c.id == account_id))
