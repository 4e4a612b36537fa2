"""The hash chain: what a record is in bytes, how it is sealed, how tampering is found and located.

A record's hash is the SHA-256 of three lines: the previous record's hash, the position, the body. Whoever has the
table and `sha256sum` can check it without us. A chain shows tampering to whoever knows its head: every head is logged
when it is sealed, outside the database, because someone who rewrites all of the database can rewrite its chain too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from shared.money import plain


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: position and hash of its last record."""

    position: int
    hash: str


@dataclass(frozen=True, slots=True)
class Record:
    """A sealed execution: its canonical body and the hash that binds it to its place."""

    position: int
    execution_id: UUID
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What the read model says stands at a position, in the same canonical form."""

    position: int
    execution_id: UUID
    body: str


class Reason(StrEnum):
    """What was done to a position that is not as it was sealed."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first bad position. `execution_id` is null where nothing remembers what stood there."""

    position: int
    execution_id: UUID | None
    reason: Reason


GENESIS = Head(0, "0" * 64)
"""The head of an empty chain."""


def canonical(body: Mapping[str, object]) -> str:
    """The one JSON text of a body: sorted keys, amounts as plain decimal strings, times in UTC to the microsecond.

    Raises TypeError for anything but text, whole numbers, null, Decimal, aware datetime and UUID: floats above all.
    """
    fields = {name: _scalar(value) for name, value in body.items()}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _scalar(value: object) -> str | int | None:
    match value:
        case str():
            return str(value)
        case None | int():
            return value
        case Decimal():
            return plain(value)
        case UUID():
            return str(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"{value!r} has no place in a record")


def seal(previous: Head, execution_id: UUID, body: str) -> Record:
    """The record that follows `previous`."""
    position = previous.position + 1
    return Record(position, execution_id, body, _hash(previous.hash, position, body))


def head(record: Record) -> Head:
    """The head of a chain that ends with `record`."""
    return Head(record.position, record.hash)


def _hash(previous: str, position: int, body: str) -> str:
    return hashlib.sha256(f"{previous}\n{position}\n{body}".encode()).hexdigest()


class Verification:
    """Walks a chain from its first position to `end`, page by page, so that it need not fit into memory.

    `stored` is how many records there are: it tells a removed record from an inserted one where all that follow
    were moved.
    """

    def __init__(self, end: Head, stored: int) -> None:
        self.reached = GENESIS
        self._end = end
        self._stored = stored

    def page(self, positions: int, records: Sequence[Record], claims: Sequence[Claim]) -> Flaw | None:
        """Check the next `positions` positions, given what stands there; returns the first bad one."""
        stands = {record.position: record for record in records}
        claimed = {claim.position: claim for claim in claims}
        last = min(self.reached.position + positions, self._end.position)
        for position in range(self.reached.position + 1, last + 1):
            record, claim = stands.get(position), claimed.get(position)
            if (reason := self._judge(position, record, claim)) is not None:
                witness = claim if reason is Reason.REMOVED and claim is not None else record or claim
                return Flaw(position, witness.execution_id if witness else None, reason)
            assert record is not None
            self.reached = head(record)
        return None

    def _judge(self, position: int, record: Record | None, claim: Claim | None) -> Reason | None:
        if record is None:
            return Reason.REMOVED
        fits = record.hash == _hash(self.reached.hash, position, record.body)
        if position == self._end.position:
            fits = fits and record.hash == self._end.hash
        if fits and claim is None:
            return Reason.REMOVED  # from the read model
        if claim is not None and claim.execution_id == record.execution_id:
            if claim.body != record.body:
                return Reason.CHANGED
            if fits:
                return None
        if self._stored == self._end.position:
            return Reason.CHANGED
        return Reason.REMOVED if self._stored < self._end.position else Reason.INSERTED
