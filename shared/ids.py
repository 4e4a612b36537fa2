"""Identifiers. What has a cause is derived from it, so that doing a thing twice gives the same name twice."""

import base64
import os
import time
from uuid import UUID, uuid5

_SPACE = UUID("6f1d3a52-7a0c-4b1e-9a39-0d7c5f2b9e11")


def derived(*parts: object) -> UUID:
    """The identifier that follows from `parts`; the same parts give the same identifier, in every process."""
    return uuid5(_SPACE, "/".join(str(part) for part in parts))


def fresh() -> UUID:
    """A new UUIDv7 (RFC 9562): ordered by time, so that indexes and lists stay in order of creation."""
    stamp = (time.time_ns() // 1_000_000).to_bytes(6, "big")
    rest = bytearray(os.urandom(10))
    rest[0] = 0x70 | (rest[0] & 0x0F)
    rest[2] = 0x80 | (rest[2] & 0x3F)
    return UUID(bytes=stamp + bytes(rest))


def execution_id(signal_id: UUID, subscription_id: UUID) -> UUID:
    """The one execution of a signal for a subscription."""
    return derived("execution", signal_id, subscription_id)


def client_order_id(execution: UUID, leg: str) -> str:
    """The name of one order at Binance: at most 36 characters of `[.A-Z:/a-z0-9_-]`, unique per execution and leg.

    `leg` says what the order is for and which attempt it is, for example `e1` or `s1`.
    """
    text = base64.b32encode(execution.bytes).decode().rstrip("=").lower()
    return f"tc-{text}-{leg}"
