"""Signals: from the accepted alert to the last execution settled."""

from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.base import Message, Value
from shared.money import Amount


class Action(StrEnum):
    """What an alert asks for."""

    BUY = "buy"
    SELL = "sell"
    CLOSE = "close"
    CLOSE_ALL = "close_all"

    @property
    def is_entry(self) -> bool:
        """Whether it opens a position; entries grow stale, exits never do."""
        return self in (Action.BUY, Action.SELL)


class Signal(Value):
    """An accepted alert.

    `symbol` is Binance's (`BTCUSDT`), null for a `close_all` without ticker; `price` is the alert's, in USD;
    `alert_time` is TradingView's `{{timenow}}`; `body_digest` is the SHA-256 of the raw body, in hex.
    """

    signal_id: UUID
    bot_id: UUID
    action: Action
    ticker: str | None
    symbol: str | None
    price: Amount | None
    source_ip: str
    received_at: AwareDatetime
    alert_time: AwareDatetime | None = None
    alert_id: str | None = None
    body_digest: str


class SignalReceived(Message):
    """The gateway accepted an alert. `payload` is its body without the secret."""

    TYPE: ClassVar[str] = "signal.received.v1"
    signal: Signal
    payload: dict[str, Any]


class SignalDispatched(Message):
    """The dispatcher turned a signal into jobs, one per active subscription, or found it a duplicate.

    `signal` says it again for whoever lost `signal.received`; null from a dispatcher of an earlier release.
    """

    TYPE: ClassVar[str] = "signal.dispatched.v1"
    signal_id: UUID
    bot_id: UUID
    total_subscribers: int
    duplicate_of: UUID | None = None
    signal: Signal | None = None


class SignalSettled(Message):
    """Every execution of the signal is on record."""

    TYPE: ClassVar[str] = "signal.settled.v1"
    signal_id: UUID
    bot_id: UUID
    total_subscribers: int
    successful_executions: int
    failed_executions: int
    skipped_executions: int
