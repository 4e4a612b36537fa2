"""Rate limits: request weight per address, orders per account. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "General Info" (LIMITS) and exchangeInfo.rateLimits.
"""

from dataclasses import dataclass, field

from services.paper_exchange.errors import Refused

WEIGHT_PER_MINUTE = 2_400
ORDERS_PER_10_SECONDS = 300
ORDERS_PER_MINUTE = 1_200


@dataclass(slots=True)
class Window:
    """A counter that begins again at every multiple of its length."""

    length_ms: int
    start: int = -1
    used: int = 0

    def add(self, count: int, now_ms: int) -> int:
        """Count and return the total of the current window."""
        start = now_ms // self.length_ms
        if start != self.start:
            self.start, self.used = start, 0
        self.used += count
        return self.used


@dataclass(slots=True)
class OrderCount:
    """New orders of one account."""

    seconds: Window = field(default_factory=lambda: Window(10_000))
    minute: Window = field(default_factory=lambda: Window(60_000))

    def add(self, of_seconds: int, of_minute: int, now_ms: int) -> None:
        """Count a request against both windows; Refused(-1015) beyond 300 in 10 seconds or 1,200 in a minute."""
        if self.seconds.add(of_seconds, now_ms) > ORDERS_PER_10_SECONDS:
            raise Refused(-1015, ORDERS_PER_10_SECONDS, "TEN_SECONDS")
        if self.minute.add(of_minute, now_ms) > ORDERS_PER_MINUTE:
            raise Refused(-1015, ORDERS_PER_MINUTE, "MINUTE")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer to a new order."""
        return {"X-MBX-ORDER-COUNT-10S": str(self.seconds.used), "X-MBX-ORDER-COUNT-1M": str(self.minute.used)}


class WeightCount:
    """Request weight per address; counts always, refuses only where `enforced`."""

    def __init__(self, *, enforced: bool) -> None:
        self.enforced = enforced
        self._windows: dict[str, Window] = {}

    def add(self, address: str, weight: int, now_ms: int) -> int:
        """Count a request and return what its address has used this minute."""
        window = self._windows.get(address) or self._windows.setdefault(address, Window(60_000))
        return window.add(weight, now_ms)

    def check(self, used: int) -> None:
        """Refused(-1003) where the limit is enforced and passed."""
        if self.enforced and used > WEIGHT_PER_MINUTE:
            raise Refused(-1003, WEIGHT_PER_MINUTE)
