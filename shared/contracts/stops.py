"""Stops: where no new entry is made, and a person's word that entries may be made again."""

from typing import ClassVar
from uuid import UUID

from shared.contracts.base import Message
from shared.contracts.executions import Environment, MarketType


class EntriesStopped(Message):
    """No new entry is made for anybody in this market of this environment. `message` says why, for people.

    `exchange_code`: what the exchange refused with, Binance's code (negative) or an HTTP status.
    """

    TYPE: ClassVar[str] = "entries.stopped.v1"
    stop_id: UUID
    environment: Environment
    market_type: MarketType
    exchange_code: int
    message: str


class EntriesAllowRequested(Message):
    """An administrator wants a stop to end."""

    TYPE: ClassVar[str] = "entries.allow.requested.v1"
    stop_id: UUID
    user_id: UUID


class EntriesAllowed(Message):
    """A stop has ended; `allowed_by` is the administrator's user id."""

    TYPE: ClassVar[str] = "entries.allowed.v1"
    stop_id: UUID
    allowed_by: UUID
