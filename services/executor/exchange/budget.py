"""How much request weight an address may use of a minute, and when there will be more. Pure.

Binance counts the weight of all requests of an address in windows that begin with each minute of its clock
("General Info", LIMITS; `X-MBX-USED-WEIGHT-1M`), and the new orders of an account in windows of ten seconds, a minute
or a day. New orders cost no weight.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

MINUTE_MS = 60_000
LATE_MS = 1_000  # what is sent so shortly before the minute ends may be counted in the next one
_AFTER_TURN_MS = 100  # by so much our idea of the exchange's clock may be ahead
_HEAD_START_MS = 5_000
_UNITS_MS = {"S": 1_000, "M": MINUTE_MS, "H": 3_600_000, "D": 86_400_000}


class Urgency(IntEnum):
    """What waits for a read, and how much of the limit it may use, in percent."""

    BACKGROUND = 60  # nothing: looks at positions, refreshes
    READ = 90  # an order
    RESOLVE = 97  # an outcome that is not known, or the end of a position
    VITAL = 1_000_000_000  # everything: the clock and the limits themselves, which no unknown limit may keep back


@dataclass(frozen=True, slots=True)
class Limits:
    """Weight per address and minute, orders per account and window (length in milliseconds → count)."""

    weight: int
    orders: Mapping[int, int] = field(default_factory=lambda: {10_000: 300, MINUTE_MS: 1_200})


def limits_of(rows: Iterable[Mapping[str, Any]], before: Limits) -> Limits:
    """`rateLimits` of `GET …/exchangeInfo`; what it does not tell stays as it was."""
    weight, orders = before.weight, dict[int, int]()
    for row in rows:
        window_ms = _UNITS_MS[row["interval"][0]] * int(row["intervalNum"])
        if row["rateLimitType"] == "ORDERS":
            orders[window_ms] = int(row["limit"])
        elif row["rateLimitType"] == "REQUEST_WEIGHT" and window_ms == MINUTE_MS:
            weight = int(row["limit"])
    return Limits(weight, orders or before.orders)


def cap(limit: int, urgency: Urgency, now_ms: int) -> int:
    """The weight that may have been used by now. The background's grows with the minute, so that it spreads evenly."""
    whole = limit * urgency // 100
    if urgency is not Urgency.BACKGROUND:
        return whole
    return whole * min(now_ms % MINUTE_MS + _HEAD_START_MS, MINUTE_MS) // MINUTE_MS


def wait_ms(used: int, weight: int, limit: int, urgency: Urgency, now_ms: int) -> int:
    """How long a request must wait, 0 for not at all. One that is heavier than its whole part goes when it is alone."""
    whole = max(1, limit * urgency // 100)
    needed = used + min(weight, whole)
    if needed <= cap(limit, urgency, now_ms) or (used == 0 and needed >= whole):
        return 0
    if urgency is Urgency.BACKGROUND and needed <= whole:
        reached_ms = -(-needed * MINUTE_MS // whole) - _HEAD_START_MS  # rounded up
        return max(1, reached_ms - now_ms % MINUTE_MS)
    return until_next(MINUTE_MS, now_ms) + _AFTER_TURN_MS


def until_next(window_ms: int, now_ms: int) -> int:
    """Milliseconds to the beginning of the next window."""
    return window_ms - now_ms % window_ms


def full_for_ms(headers: Mapping[str, str], orders: Mapping[int, int], now_ms: int) -> int:
    """How long an account may order no more by what an answer tells: `X-MBX-ORDER-COUNT-10S`, `-1M`, `-1D`."""
    full = [0]
    for name, value in headers.items():
        if name.startswith("x-mbx-order-count-") and value.isdigit():
            count, unit = name[18:-1], name[-1:].upper()
            window_ms = _UNITS_MS.get(unit, 0) * int(count) if count.isdigit() else 0
            if window_ms in orders and int(value) >= orders[window_ms]:
                full.append(until_next(window_ms, now_ms))
    return max(full)
