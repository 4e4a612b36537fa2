"""Subscriptions. A deleted one stays as a row, for history, and is seen by nobody."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bot_registry.store import Values, newest_first, row, rows, write
from services.bot_registry.tables import subscriptions

_KEPT = subscriptions.c.status != "deleted"


def _seen_by(scope: UUID | None) -> ColumnElement[bool]:
    return _KEPT if scope is None else _KEPT & (subscriptions.c.user_id == scope)


async def add(connection: AsyncConnection, values: Values) -> RowMapping:
    """A new subscription. Raises Taken if the account follows the bot already."""
    added = await write(connection, insert(subscriptions).values(values).returning(subscriptions))
    assert added is not None
    return added


async def by_id(connection: AsyncConnection, subscription_id: UUID, scope: UUID | None) -> RowMapping | None:
    """A subscription of `scope` (null: everybody's)."""
    query = select(subscriptions).where(subscriptions.c.id == subscription_id, _seen_by(scope))
    return await row(connection, query)


async def page(
    connection: AsyncConnection, limit: int, before: UUID | None, scope: UUID | None
) -> Sequence[RowMapping]:
    """The subscriptions of `scope` (null: everybody's), newest first."""
    query = newest_first(select(subscriptions).where(_seen_by(scope)), subscriptions.c.id, limit, before)
    return await rows(connection, query)


async def change(
    connection: AsyncConnection, subscription_id: UUID, scope: UUID | None, values: Values
) -> RowMapping | None:
    """The changed subscription; null where `scope` has none such."""
    if not values:
        return await by_id(connection, subscription_id, scope)
    changed = update(subscriptions).where(subscriptions.c.id == subscription_id, _seen_by(scope)).values(values)
    return await write(connection, changed.returning(subscriptions))


async def use_account(connection: AsyncConnection, account_id: UUID) -> bool:
    """Whether a subscription trades on this account."""
    query = select(subscriptions.c.id).where(subscriptions.c.exchange_account_id == account_id, _KEPT).limit(1)
    return await row(connection, query) is not None
