"""The only place that reads the wall clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; a test hands in one that it moves by hand."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""
        return datetime.now(UTC)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as Binance counts time."""
    return round(moment.timestamp() * 1000)


def from_ms(stamp_ms: int) -> datetime:
    """The moment of a Binance time stamp, aware, in UTC."""
    return datetime.fromtimestamp(stamp_ms / 1000, UTC)


def monotonic_ms() -> int:
    """A stopwatch's reading in milliseconds; only differences mean anything."""
    return time.monotonic_ns() // 1_000_000
