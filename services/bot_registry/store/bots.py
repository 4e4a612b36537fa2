"""Bots and their webhook secrets."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bot_registry.store import Values, newest_first, row, rows, write
from services.bot_registry.tables import bots
from shared.contracts import BotEntry


def _seen_by(is_admin: bool) -> Select[Any]:
    return select(bots) if is_admin else select(bots).where(bots.c.status != "archived")


async def add(connection: AsyncConnection, values: Values) -> RowMapping:
    """A new bot. Raises Taken if its webhook path is another's."""
    added = await write(connection, insert(bots).values(revision=1, **values).returning(bots))
    assert added is not None
    return added


async def by_id(connection: AsyncConnection, bot_id: UUID, *, is_admin: bool) -> RowMapping | None:
    """A bot, if it is there to see."""
    return await row(connection, _seen_by(is_admin).where(bots.c.id == bot_id))


async def page(connection: AsyncConnection, limit: int, before: UUID | None, *, is_admin: bool) -> Sequence[RowMapping]:
    """The bots there are to see, newest first."""
    return await rows(connection, newest_first(_seen_by(is_admin), bots.c.id, limit, before))


async def lock(connection: AsyncConnection, bot_id: UUID) -> RowMapping | None:
    """A bot that nobody else changes before the transaction ends."""
    return await row(connection, select(bots).where(bots.c.id == bot_id).with_for_update())


async def change(connection: AsyncConnection, bot_id: UUID, values: Values) -> RowMapping | None:
    """The changed bot, a revision later; null where there is none. Raises Taken."""
    changed = update(bots).where(bots.c.id == bot_id).values(revision=bots.c.revision + 1, **values)
    return await write(connection, changed.returning(bots))


async def directory(connection: AsyncConnection) -> list[BotEntry]:
    """What the gateway must know of all bots."""
    return [entry(bot) for bot in await rows(connection, select(bots))]


def entry(bot: RowMapping) -> BotEntry:
    """What the gateway must know of a bot."""
    return BotEntry(
        bot_id=bot["id"],
        revision=bot["revision"],
        webhook_path=bot["master_webhook_path"],
        secrets=bot["secrets"],
        status=bot["status"],
        market_type=bot["market_type"],
        rate_limit_per_minute=bot["rate_limit_per_minute"],
    )
