"""Rate limits: request weight per address, orders per account. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "General Info" (LIMITS) and exchangeInfo.rateLimits.
"""

from dataclasses import dataclass

from services.paper_exchange.errors import BANNED, MESSAGES, Refused

WEIGHT_PER_MINUTE = 2_400
SPOT_WEIGHT_PER_MINUTE = 6_000
SAPI_WEIGHT_PER_MINUTE = 12_000
MINUTE_MS = 60_000
# General Info: "IP bans are tracked and scale in duration for repeat offenders, from 2 minutes to 3 days."
BAN_MS_MIN, BAN_MS_MAX = 120_000, 3 * 86_400_000
REFUSALS_BEFORE_BAN = 20  # in a minute; how many Binance bears is not published
NOT_ENFORCED = 1_000_000_000  # the weight that is told as the limit where none is enforced


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
                words = limit.unit if limit.number == 1 else f"{limit.number} {limit.unit}"
                raise Refused(-1015, limit.limit, words, wait_s=_seconds_left(limit.length_ms, now_ms))

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


@dataclass(frozen=True, slots=True)
class Words:
    """How a market says that an address asks too much: of {limit}, and of {address} and {until_ms} to who is banned."""

    too_much: str
    banned: str


FUTURES_WORDS = Words(MESSAGES[-1003].format("{limit}"), BANNED.format("{address}", "{until_ms}"))
SPOT_WORDS = Words(
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API.",
    "Way too much request weight used; IP banned until {until_ms}. "
    "Please use WebSocket Streams for live updates to avoid bans.",
)


class WeightCount:
    """Request weight per address; counts always, refuses only where `enforced`.

    Beyond the limit every request, orders too, is refused until the minute ends (429); who goes on is banned (418).
    """

    def __init__(self, limit: int = WEIGHT_PER_MINUTE, words: Words = FUTURES_WORDS, *, enforced: bool) -> None:
        self.limit, self.words, self.enforced = limit, words, enforced
        self._windows: dict[str, Window] = {}
        self._refusals: dict[str, Window] = {}
        self._bans: dict[str, tuple[int, int]] = {}

    def add(self, address: str, weight: int, now_ms: int) -> int:
        """Count a request and return what its address has used this minute."""
        return _window(self._windows, address).add(weight, now_ms)

    @property
    def told(self) -> int:
        """The limit that exchangeInfo tells: a client that keeps to it would be slowed down for nothing."""
        return self.limit if self.enforced else NOT_ENFORCED

    def check(self, address: str, used: int, now_ms: int) -> None:
        """Refused(-1003) where the limit is enforced and passed: 429, or 418 for who is banned."""
        if not self.enforced:
            return
        until_ms, length_ms = self._bans.get(address, (0, BAN_MS_MIN // 2))
        if used > self.limit and now_ms >= until_ms:
            if _window(self._refusals, address).add(1, now_ms) <= REFUSALS_BEFORE_BAN:
                words = self.words.too_much.format(limit=self.limit)
                raise Refused(-1003, message=words, wait_s=_seconds_left(MINUTE_MS, now_ms))
            length_ms = min(length_ms * 2, BAN_MS_MAX)
            until_ms = now_ms + length_ms
            self._bans[address] = until_ms, length_ms
        if now_ms < until_ms:
            wait_s = (until_ms - now_ms) // 1000 + 1
            words = self.words.banned.format(address=address, until_ms=until_ms)
            raise Refused(-1003, message=words, status=418, wait_s=wait_s)


def _window(windows: dict[str, Window], address: str) -> Window:
    return windows.get(address) or windows.setdefault(address, Window(MINUTE_MS))


def _seconds_left(length_ms: int, now_ms: int) -> int:
    """Until the next window of this length begins."""
    return (length_ms - now_ms % length_ms) // 1000 + 1
