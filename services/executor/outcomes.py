"""What Binance's answers mean: carried out, refused, certainly not carried out, or unknown. Pure.

Judged by HTTP status, Binance's code and the body, never by a client library's exception class, which puts the 503
that means 'unknown' and the 503 that means 'failed' into one. Sources: Binance's "General Info" (HTTP return codes,
503 in three kinds) and "Error Codes" of USDⓈ-M Futures.
"""

from dataclasses import dataclass

from services.executor.state import Refused, Uncertain, Unsent
from services.executor.why import answered
from shared.reasons import Reason

_ASK_FIRST = (-1000, -1001, -1006, -1007)  # "execution status unknown", or an internal error that may have followed it
_CLOCK = (-1021, -5028)  # outside of recvWindow, at the gate or at the matching engine: refused before matching
_THROTTLED = (-1003, -1008, -1015)  # too many requests, overload, too many orders: certainly not carried out
_UNAVAILABLE = "service unavailable"  # the 503 that is "100 % failure"; the other says "Unknown error, …"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not a success.

    `code` and `message` are Binance's, null and the raw body where it has none. `retry_after_s`: how long to leave
    the exchange alone, 0 where it did not say that we ask too much.
    """

    http_status: int
    code: int | None
    message: str
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection ended without an answer. `sent` is false where it never came about."""

    sent: bool
    message: str


# The refusals that somebody can act on, by our word for them.
_CODES: dict[Reason, tuple[int, ...]] = {
    Reason.KEY_REJECTED: (-1002, -1022, -1099, -2014, -2015, -2017),
    Reason.INSUFFICIENT_MARGIN: (-2018, -2019, -2028, -4050, -4051),
    Reason.LEVERAGE_NOT_ALLOWED: (-4028, -4161, -4202, -4203, -4205, -4206, -4208, -4209, -4403),
    Reason.POSITION_TOO_LARGE: (-2027, -4005),
    Reason.BELOW_MINIMUM: (-1013, -4003, -4004, -4164),
    Reason.SYMBOL_NOT_TRADING: (-1121, -1122, -4140, -4141),
    Reason.ACCOUNT_RESTRICTED: (*(-2023, -4087, -4088, -4105, -4106, -4107, -4109, -4189, -4192, -4400, -4401, -4402),),
    Reason.NO_COUNTERPARTY: (-2020, -4131),
    Reason.TOO_MANY_ORDERS: (-2025, -4045),
    Reason.ACCOUNT_MODE: (-4047, -4048, -4060, -4061, -4062, -4167, -4168),
}
_REASONS = {code: reason for reason, codes in _CODES.items() for code in codes}


def judge(reply: Answer | NoAnswer) -> Refused | Unsent | Uncertain:
    """What follows from a reply that is not a success. What is not recognised is uncertain (P4)."""
    if isinstance(reply, NoAnswer):
        why = answered(Reason.EXCHANGE_UNAVAILABLE, None, reply.message)
        return Uncertain(why) if reply.sent else Unsent(why)
    code, status = reply.code, reply.http_status
    why = answered(Reason.EXCHANGE_UNAVAILABLE, code, reply.message or f"HTTP {status}")
    if code in _CLOCK:
        return Unsent(why)
    if code in _THROTTLED or status in (418, 429):
        return Unsent(why, reply.retry_after_s * 1000)
    if status == 503 and code is None and _UNAVAILABLE in reply.message.lower():
        return Unsent(why)
    if code is None or code in _ASK_FIRST or status >= 500 or status == 408:
        return Unsent(why) if status == 403 else Uncertain(why)
    if not _is_refusal(code):
        return Uncertain(why)
    return Refused(answered(_REASONS.get(code, Reason.REFUSED), code, reply.message))


def _is_refusal(code: int) -> bool:
    """Whether Binance documents the code's group as checked before an order is matched."""
    return -1199 <= code <= -1002 or -2099 <= code <= -2010 or -4999 <= code <= -4000 or -5099 <= code <= -5000
