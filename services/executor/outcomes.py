"""What Binance's answers mean: carried out, refused, certainly not carried out, or unknown. Pure.

Judged by HTTP status, Binance's code and the body, never by a client library's exception class, which puts the 503
that means 'unknown' and the 503 that means 'failed' into one. Sources: Binance's "General Info" (HTTP return codes,
503 in three kinds) of USDⓈ-M Futures and of Spot; the codes stand in `binance_errors`.
"""

from dataclasses import dataclass

from services.executor.binance_errors import reason_of
from services.executor.state import Refused, Uncertain, Unsent
from services.executor.why import answered
from shared.contracts import MarketType
from shared.reasons import CATALOGUE, Kind, Reason

_OVERLOADED = -1008  # the one code with which a 5XX of Futures promises that nothing was done
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
    """The connection ended without an answer. `sent` is false where it never came about, or we did not try.

    `wait_ms`: when trying makes sense again; `banned`: before then nothing whatever may be sent.
    """

    sent: bool
    message: str
    wait_ms: int = 0
    banned: bool = False


def judge(reply: Answer | NoAnswer, market: MarketType = "futures") -> Refused | Unsent | Uncertain:
    """What follows from a reply that is not a success. What may have been carried out is uncertain (P4)."""
    if isinstance(reply, NoAnswer):
        if reply.sent:
            return Uncertain(answered(Reason.NO_ANSWER, None, reply.message))
        return Unsent(answered(Reason.EXCHANGE_UNAVAILABLE, None, reply.message), reply.wait_ms, reply.banned)
    reason = _reason(reply, market)
    why = answered(reason, reply.code, reply.message or f"HTTP {reply.http_status}")
    kind = CATALOGUE[reason].kind
    if kind is Kind.RETRYABLE:
        return Unsent(why, reply.retry_after_s * 1000, reply.http_status == 418)
    if kind is Kind.OUTCOME_UNKNOWN or reason is Reason.UNRECOGNISED:
        return Uncertain(why)
    return Refused(why)


def _reason(reply: Answer, market: MarketType) -> Reason:
    status, code = reply.http_status, reply.code
    if status in (403, 418, 429):  # the firewall, the ban, the limit: all stand before whatever carries requests out
        return Reason.EXCHANGE_UNAVAILABLE
    if status >= 500 or status == 408:
        return Reason.EXCHANGE_UNAVAILABLE if _surely_failed(reply, market) else Reason.NO_ANSWER
    if code is None:
        return Reason.API_CHANGED if status in (404, 405, 410) else Reason.UNRECOGNISED
    known = reason_of(market, code, reply.message)
    return known or (Reason.REFUSED if _is_refusal(code) else Reason.UNRECOGNISED)


def _surely_failed(reply: Answer, market: MarketType) -> bool:
    """Spot: "It is important to NOT treat" any 5XX "as a failure". Futures names two that are "100 % failure"."""
    if market == "spot" or reply.http_status != 503:
        return False
    return reply.code == _OVERLOADED or (reply.code is None and _UNAVAILABLE in reply.message.lower())


def _is_refusal(code: int) -> bool:
    """Whether Binance documents the code's group as checked before an order is matched."""
    return -1299 <= code <= -1002 or -2099 <= code <= -2010 or -4999 <= code <= -4000 or -5099 <= code <= -5000
