"""The budget of request weight, for any limit, use and moment."""

from hypothesis import given
from hypothesis import strategies as st

from services.executor.exchange.budget import (
    MINUTE_MS,
    Limits,
    Urgency,
    cap,
    full_for_ms,
    limits_of,
    until_next,
    wait_ms,
)

URGENCIES = st.sampled_from([urgency for urgency in Urgency if urgency is not Urgency.VITAL])
LIMITS = st.integers(20, 1_000_000)
WEIGHTS = st.integers(1, 80)
USED = st.integers(0, 1_100_000)
MOMENTS = st.integers(1_800_000_000_000, 1_800_000_000_000 + 10 * MINUTE_MS)


@given(USED, WEIGHTS, LIMITS, URGENCIES, MOMENTS)
def test_what_goes_at_once_stays_within_its_part_of_the_limit(
    used: int, weight: int, limit: int, urgency: Urgency, now_ms: int
) -> None:
    if wait_ms(used, weight, limit, urgency, now_ms) == 0:
        assert used + weight <= cap(limit, urgency, now_ms) or weight > limit * urgency // 100
        assert used == 0 or used + weight <= limit


@given(USED, WEIGHTS, LIMITS, URGENCIES, MOMENTS)
def test_a_wait_ends_within_the_next_minute_and_then_it_goes(
    used: int, weight: int, limit: int, urgency: Urgency, now_ms: int
) -> None:
    pause_ms = wait_ms(used, weight, limit, urgency, now_ms)
    assert 0 <= pause_ms <= MINUTE_MS + 100
    later_ms = now_ms + pause_ms
    same_minute = later_ms // MINUTE_MS == now_ms // MINUTE_MS
    left_ms = wait_ms(used if same_minute else 0, weight, limit, urgency, later_ms)
    assert left_ms == 0 or (urgency is Urgency.BACKGROUND and not same_minute and left_ms <= MINUTE_MS)


@given(USED, WEIGHTS, LIMITS, MOMENTS)
def test_the_more_urgent_never_waits_longer(used: int, weight: int, limit: int, now_ms: int) -> None:
    waits = [wait_ms(used, weight, limit, urgency, now_ms) for urgency in sorted(Urgency)]
    assert waits == sorted(waits, reverse=True)


@given(USED, WEIGHTS, LIMITS, URGENCIES, MOMENTS)
def test_less_used_never_means_a_longer_wait(used: int, weight: int, limit: int, urgency: Urgency, now_ms: int) -> None:
    assert wait_ms(used // 2 + 1, weight, limit, urgency, now_ms) <= wait_ms(used + 1, weight, limit, urgency, now_ms)


@given(LIMITS, MOMENTS)
def test_the_background_has_its_part_only_when_the_minute_is_over(limit: int, now_ms: int) -> None:
    part = cap(limit, Urgency.BACKGROUND, now_ms)
    assert part <= cap(limit, Urgency.BACKGROUND, now_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS - 1)
    assert part <= limit * 60 // 100
    assert part >= limit * 60 // 100 * (now_ms % MINUTE_MS) // MINUTE_MS


@given(USED, WEIGHTS, LIMITS, MOMENTS)
def test_what_tells_the_limits_never_waits_for_them(used: int, weight: int, limit: int, now_ms: int) -> None:
    assert wait_ms(used, weight, limit, Urgency.VITAL, now_ms) == 0


@given(st.integers(1, 86_400_000), MOMENTS)
def test_a_window_ends_where_the_next_begins(window_ms: int, now_ms: int) -> None:
    assert (now_ms + until_next(window_ms, now_ms)) % window_ms == 0
    assert 0 < until_next(window_ms, now_ms) <= window_ms


def test_the_limits_are_those_that_the_exchange_tells() -> None:
    rows = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6_000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
    ]
    assert limits_of(rows, Limits(2_400)) == Limits(6_000, {10_000: 100, 86_400_000: 200_000})
    assert limits_of([], Limits(2_400)) == Limits(2_400)


def test_an_account_is_full_until_the_window_that_it_has_filled_ends() -> None:
    orders, now_ms = Limits(2_400).orders, 1_800_000_003_000
    assert full_for_ms({"x-mbx-order-count-10s": "299", "x-mbx-order-count-1m": "299"}, orders, now_ms) == 0
    assert full_for_ms({"x-mbx-order-count-10s": "300", "x-mbx-order-count-1m": "300"}, orders, now_ms) == 7_000
    assert full_for_ms({"x-mbx-order-count-10s": "10", "x-mbx-order-count-1m": "1200"}, orders, now_ms) == 57_000
    assert full_for_ms({"x-mbx-order-count-1d": "9", "x-mbx-order-count-": "9"}, orders, now_ms) == 0
