"""Rate limits: request weight per address, orders per account. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "General Info" (LIMITS) and exchangeInfo.rateLimits.
"""

from dataclasses import dataclass

from services.paper_exchange.errors import Refused

WEIGHT_PER_MINUTE = 2_400
SPOT_WEIGHT_PER_MINUTE = 6_000
SAPI_WEIGHT_PER_MINUTE = 12_000


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """At most `limit` new orders of an account in every `number` of `unit` (SECOND, MINUTE, DAY)."""

    unit: str
    number: int
    length_ms: int
    limit: int


ORDERS_PER_10_SECONDS = 300
ORDERS_PER_MINUTE = 1_200
FUTURES_LIMITS = (
    OrderLimit("SECOND", 10, 10_000, ORDERS_PER_10_SECONDS),
    OrderLimit("MINUTE", 1, 60_000, ORDERS_PER_MINUTE),
)
SPOT_LIMITS = (OrderLimit("SECOND", 10, 10_000, 100), OrderLimit("DAY", 1, 86_400_000, 200_000))


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


class OrderCount:
    """New orders of one account, against the limits of one market, the shorter interval first."""

    def __init__(self, limits: tuple[OrderLimit, ...] = FUTURES_LIMITS) -> None:
        self.limits = limits
        self.windows = [Window(limit.length_ms) for limit in limits]

    def add(self, counts: tuple[int, ...], now_ms: int) -> None:
        """Count new orders, for each limit its own number; Refused(-1015) beyond one."""
        for limit, window, count in zip(self.limits, self.windows, counts, strict=True):
            if window.add(count, now_ms) > limit.limit:
                raise Refused(-1015, limit.limit, limit.unit if limit.number == 1 else f"{limit.number} {limit.unit}")

    def give_back(self, count: int, now_ms: int) -> None:
        """Count orders no longer, of every limit, but never below 0."""
        for window in self.windows:
            window.used = max(0, window.add(0, now_ms) - count)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer to a new order."""
        return {
            f"X-MBX-ORDER-COUNT-{limit.number}{limit.unit[0]}": str(window.used)
            for limit, window in zip(self.limits, self.windows, strict=True)
        }

    def rows(self, now_ms: int) -> list[dict[str, object]]:
        """How many orders count, as rateLimit/order and the WebSocket API tell it."""
        return [
            {
                "rateLimitType": "ORDERS",
                "interval": limit.unit,
                "intervalNum": limit.number,
                "limit": limit.limit,
                "count": window.add(0, now_ms),
            }
            for limit, window in zip(self.limits, self.windows, strict=True)
        ]


class WeightCount:
    """Request weight per address; counts always, refuses only where `enforced`."""

    def __init__(self, limit: int = WEIGHT_PER_MINUTE, *, enforced: bool) -> None:
        self.limit, self.enforced = limit, enforced
        self._windows: dict[str, Window] = {}

    def add(self, address: str, weight: int, now_ms: int) -> int:
        """Count a request and return what its address has used this minute."""
        window = self._windows.get(address) or self._windows.setdefault(address, Window(60_000))
        return window.add(weight, now_ms)

    def check(self, used: int) -> None:
        """Refused(-1003) where the limit is enforced and passed."""
        if self.enforced and used > self.limit:
            raise Refused(-1003, self.limit)
