"""All SQL of the HTTP process, a module per table. Rows are mappings of the tables' columns."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import Executable

Values = dict[str, Any]


class Taken(Exception):
    """A value that must be unique is another row's already."""


async def rows(connection: AsyncConnection, query: Executable) -> Sequence[RowMapping]:
    """All rows of a query."""
    return (await connection.execute(query)).mappings().all()


async def row(connection: AsyncConnection, query: Executable) -> RowMapping | None:
    """The only row of a query, or null."""
    return (await connection.execute(query)).mappings().one_or_none()


async def write(connection: AsyncConnection, statement: Executable) -> RowMapping | None:
    """Run a statement that writes one row at most and returns it. Raises Taken."""
    try:
        return await row(connection, statement)
    except IntegrityError as error:
        raise Taken from error


def newest_first(query: Select[Any], key: ColumnElement[UUID], limit: int, before: UUID | None) -> Select[Any]:
    """A page of `query`, and one row more where there is another page. Ids are ordered by time."""
    if before is not None:
        query = query.where(key < before)
    return query.order_by(key.desc()).limit(limit + 1)
