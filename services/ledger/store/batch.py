"""Writing one batch of facts.

The head's row is locked first: there is one writer at a time, and the numbers that it gives out (positions of records,
numbers of changes) are committed in their order, without gaps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from services.ledger import chain, projection
from services.ledger.projection import Attention, Position, ReadModel, Signal, Stop, Subscription, Touched
from services.ledger.tables import attentions, executions, heads, positions, records, signals, stops, subscriptions
from shared.db.database import Transaction
from shared.errors import Transient

RowT = TypeVar("RowT", Signal, Position, Subscription, Stop, Attention)


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the ledger ends: the chain's head and the number of the last change."""

    head: chain.Head
    change: int


async def lock(tx: Transaction) -> Tail:
    """The ledger's end, which nobody else moves before this transaction is over."""
    row = (await tx.connection.execute(select(heads).with_for_update())).one_or_none()
    if row is None:
        raise Transient("the ledger's head is gone; nothing is sealed until it is restored")
    return Tail(chain.Head(row.position, row.hash), row.change)


async def load(tx: Transaction, ids: Touched) -> ReadModel:
    """The rows that stand under `ids`."""
    sealed = select(records.c.execution_id).where(records.c.execution_id.in_(ids.executions))
    return ReadModel(
        sealed=set((await tx.connection.scalars(sealed)).all()) if ids.executions else set(),
        signals=await _rows(tx, signals, Signal, ids.signals),
        positions=await _rows(tx, positions, Position, ids.positions),
        subscriptions=await _rows(tx, subscriptions, Subscription, ids.subscriptions),
        stops=await _rows(tx, stops, Stop, ids.stops),
        attentions=await _rows(tx, attentions, Attention, ids.attentions),
    )


async def save(tx: Transaction, tail: Tail, after: ReadModel, now: datetime) -> Tail:
    """Seal the executions of `after`, write its rows, move the ledger's end.

    Raises Transient when a record that we did not seal stands in the way: facts wait until it is gone.
    """
    numbers = count(tail.change + 1)
    sealed, rows = _seal(tail.head, after, now)
    try:
        await _insert(tx, records, [_values(record) for record in sealed])
        await _insert(tx, executions, [row | {"change": next(numbers)} for row in rows])
    except IntegrityError as error:
        raise Transient("a record that the ledger did not seal stands at its end: run /api/v1/audit/verify") from error
    await _upsert(tx, positions, [_values(row) | {"change": next(numbers)} for row in after.positions.values()])
    await _upsert(tx, subscriptions, [_values(row) for row in after.subscriptions.values()])
    await _upsert(tx, attentions, [_values(row) | {"change": next(numbers)} for row in after.attentions.values()])
    await _upsert(tx, stops, [_values(row) for row in after.stops.values()])
    # last, so that a reader of the stream hears "settled" after the executions that settle
    await _upsert(tx, signals, [_values(row) | {"change": next(numbers)} for row in after.signals.values()])
    end = Tail(chain.head(sealed[-1]) if sealed else tail.head, next(numbers) - 1)
    moved = update(heads).values(position=end.head.position, hash=end.head.hash, change=end.change)
    await tx.connection.execute(moved)
    return end


def _seal(head: chain.Head, after: ReadModel, now: datetime) -> tuple[list[chain.Record], list[dict[str, Any]]]:
    sealed: list[chain.Record] = []
    rows: list[dict[str, Any]] = []
    for execution in after.executions:
        body = projection.body(execution, now)
        record = chain.seal(head, execution.execution_id, chain.canonical(projection.sealed(body)))
        sealed.append(record)
        rows.append(body | {"position": record.position})
        head = chain.head(record)
    return sealed, rows


async def _rows(tx: Transaction, table: Table, kind: type[RowT], ids: Iterable[UUID]) -> dict[UUID, RowT]:
    if not ids:
        return {}
    (key,) = table.primary_key.columns
    query = select(*(table.c[field.name] for field in fields(kind))).where(key.in_(ids))
    found = (await tx.connection.execute(query)).all()
    return {row[0]: kind(*row) for row in found}


def _values(row: chain.Record | Signal | Position | Subscription | Stop | Attention) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


async def _insert(tx: Transaction, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await tx.connection.execute(insert(table), rows)


async def _upsert(tx: Transaction, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert whole rows, or replace those that stand under the same key."""
    if not rows:
        return
    dialect = postgresql if tx.connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    await tx.connection.execute(
        statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=replaced), rows
    )
