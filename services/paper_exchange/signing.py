"""Request signatures, parameters and the time window. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "General Info": SIGNED endpoint security, timing security.
"""

import hashlib
import hmac
import re
from decimal import Decimal
from urllib.parse import parse_qsl

from services.paper_exchange.errors import AHEAD_OF_TIME, Refused

Params = dict[str, str]

API_KEY = re.compile(r"[A-Za-z0-9]{64}")
RECV_WINDOW_MS_DEFAULT = 5_000
AHEAD_MS_MAX = 1_000
_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")
_FINE_WINDOW = re.compile(r"\d{1,20}(\.\d{1,3})?")
_DIGITS = re.compile(r"\d{1,18}")


def read_params(query: str, body: str) -> Params:
    """Decode query string and form body into one set of parameters; where both name one, the query string wins."""
    if not body:
        return dict(parse_qsl(query, keep_blank_values=True))
    return {**dict(parse_qsl(body, keep_blank_values=True)), **dict(parse_qsl(query, keep_blank_values=True))}


def sign(secret: str, payload: str) -> str:
    """HMAC-SHA256 of the payload in hex."""
    return hmac.digest(secret.encode(), payload.encode(), hashlib.sha256).hex()


def check_signature(secret: str, query: str, body: str, signature: str) -> None:
    """Raise Refused(-1022) unless the signature fits what was sent: query directly followed by body, without itself."""
    payload = _SIGNATURE.sub("", query) + _SIGNATURE.sub("", body)
    if not hmac.compare_digest(sign(secret, payload).encode(), signature.lower().encode()):
        raise Refused(-1022)


def check_window(params: Params, now_ms: int, longest_ms: int | None = None, *, code: int = -1021) -> None:
    """Raise Refused(code) unless timestamp < now + 1000 and now - timestamp <= recvWindow (both in ms).

    A market with a longest recvWindow refuses a longer one (-1102), and reads its decimals.
    """
    timestamp_ms = whole(params, "timestamp")
    if timestamp_ms >= now_ms + AHEAD_MS_MAX:
        raise Refused(code, message=AHEAD_OF_TIME if code == -1021 else None)
    if now_ms - timestamp_ms > _window(params, longest_ms):
        raise Refused(code)


def _window(params: Params, longest_ms: int | None) -> Decimal | int:
    """The recvWindow, in milliseconds."""
    value = params.get("recvWindow")
    if not value:
        return RECV_WINDOW_MS_DEFAULT
    if longest_ms is None:
        return whole(params, "recvWindow")
    if not _FINE_WINDOW.fullmatch(value):
        raise Refused(-1100, "recvWindow", r"^[0-9]{1,20}(\.[0-9]{1,3})?$")
    if Decimal(value) > longest_ms:
        raise Refused(-1102, message=f"'recvWindow' contains unexpected value. Cannot be greater than {longest_ms}.")
    return Decimal(value)


def check_key_format(api_key: str) -> None:
    """Raise Refused(-2014) for a key that Binance cannot have issued."""
    if not API_KEY.fullmatch(api_key):
        raise Refused(-2014)


def text(params: Params, name: str) -> str:
    """A mandatory parameter; Refused(-1102) where it is missing or empty."""
    value = params.get(name)
    if not value:
        raise Refused(-1102, name)
    return value


def whole(params: Params, name: str) -> int:
    """A mandatory non-negative integer; Refused(-1102) where missing, Refused(-1100) where malformed."""
    value = text(params, name)
    if not _DIGITS.fullmatch(value):
        raise Refused(-1100, name, r"^[0-9]{1,20}$")
    return int(value)


def whole_or(params: Params, name: str, default: int) -> int:
    """An optional non-negative integer."""
    return whole(params, name) if params.get(name) else default


def flag(params: Params, name: str) -> bool:
    """An optional boolean sent as "true" or "false" in any case; Refused(-1130) for anything else."""
    value = params.get(name, "false").lower()
    if value not in ("true", "false", ""):
        raise Refused(-1130, name)
    return value == "true"
