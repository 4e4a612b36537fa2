"""Users."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bot_registry.store import newest_first, row, rows, write
from services.bot_registry.tables import users
from shared import ids
from shared.web.auth import Role


async def add(connection: AsyncConnection, email: str, password_hash: str, role: Role, now: datetime) -> UUID:
    """A new user's id; `email` in lower case. Raises Taken."""
    user_id = ids.fresh()
    values = {"id": user_id, "email": email, "password_hash": password_hash, "role": role.value, "created_at": now}
    await write(connection, insert(users).values(values).returning(users.c.id))
    return user_id


async def by_email(connection: AsyncConnection, email: str) -> RowMapping | None:
    """The user with this e-mail in lower case."""
    return await row(connection, select(users).where(users.c.email == email))


async def by_id(connection: AsyncConnection, user_id: UUID) -> RowMapping | None:
    """The user with this id."""
    return await row(connection, select(users).where(users.c.id == user_id))


async def page(connection: AsyncConnection, limit: int, before: UUID | None) -> Sequence[RowMapping]:
    """Users, newest first."""
    return await rows(connection, newest_first(select(users), users.c.id, limit, before))
