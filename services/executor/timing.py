"""How long the machine waits and when it gives up. All in milliseconds. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The bounds of the placement and protection protocols.

    `recv_window_ms`: Binance accepts a request until its time stamp plus this ("Timing security", 5000 or less is
    recommended). `lag_margin_ms`: how far order queries may lag behind the matching engine; Binance gives no number,
    so it is generous. `ask_again_ms`: between two askings. `attention_after_ms`: an outcome unknown for so long is a
    person's matter too. `naked_max_ms`: a position whose stop-loss is not acknowledged by then is closed.
    `price_within_ms`: a fill whose price is not told by then is protected by the price we read before.
    `throttled_max_ms`: after so long, more than two of Binance's minutes, a stop-loss that the exchange makes us wait
    with is given up like one that it refuses.
    `lease_margin_ms`: how much longer a claim lasts than a request that nobody answers can still be accepted.
    """

    recv_window_ms: int = 5_000
    lag_margin_ms: int = 2_000
    ask_again_ms: int = 500
    attention_after_ms: int = 15 * 60_000
    attention_every_ms: int = 60_000
    naked_max_ms: int = 15_000
    throttled_max_ms: int = 150_000
    price_within_ms: int = 4_000
    lease_margin_ms: int = 2_000


def backoff_ms(tries: int) -> int:
    """200, 400, 800 … 30,000: Binance's advice for overload, without an end for what must be done."""
    return int(min(200 * 2 ** min(tries, 10), 30_000))
