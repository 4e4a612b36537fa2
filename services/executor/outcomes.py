"""What Binance's answers mean: carried out, refused, certainly not carried out, or unknown. Pure.

Judged by HTTP status, Binance's code and the body, never by a client library's exception class, which puts the 503
that means 'unknown' and the 503 that means 'failed' into one. Sources: Binance's "General Info" (HTTP return codes,
503 in three kinds) and "Error Codes" of USDⓈ-M Futures.
"""

from dataclasses import dataclass

from services.executor.state import Refused, Uncertain, Unsent

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


# Our word, what a person can do, and the Binance codes it answers. The words are stable: `error_code` in every record.
_ADVICE: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    (
        "key_rejected",
        "Binance does not accept the API key: it was revoked, its IP restriction shuts us out, or futures trading is "
        "not permitted. Make a new key and connect the account again.",
        (-1002, -1022, -1099, -2014, -2015, -2017),
    ),
    (
        "insufficient_margin",
        "The futures wallet has too little free balance for this trade. Transfer USDT to it, or lower the margin.",
        (-2018, -2019, -2028, -4050, -4051),
    ),
    (
        "leverage_not_allowed",
        "Binance does not allow this leverage here. Choose a lower one.",
        (-4028, -4161, -4202, -4203, -4205, -4206, -4208, -4209, -4403),
    ),
    (
        "position_too_large",
        "The position would be larger than Binance allows at this leverage. Lower the leverage or the margin.",
        (-2027, -4005),
    ),
    (
        "below_minimum",
        "The order is too small for this symbol. Raise the margin.",
        (-1013, -4003, -4004, -4164),
    ),
    (
        "symbol_not_trading",
        "Binance does not trade this symbol now. Check the alert's ticker.",
        (-1121, -1122, -4140, -4141),
    ),
    (
        "account_restricted",
        "Binance has restricted trading on this account. Log in to Binance to see why and have it lifted.",
        (-2023, -4087, -4088, -4105, -4106, -4107, -4109, -4189, -4192, -4400, -4401, -4402),
    ),
    (
        "no_counterparty",
        "The market was too thin to fill the order near its price. Choose a more liquid symbol.",
        (-2020, -4131),
    ),
    (
        "too_many_orders",
        "The account has reached Binance's limit of open orders. Cancel some of them.",
        (-2025, -4045),
    ),
    (
        "account_mode",
        "The account's position or margin mode does not suit the order. Leave the modes alone while trades are open.",
        (-4047, -4048, -4060, -4061, -4062, -4167, -4168),
    ),
)
_ACT_ON = {code: (why, advice) for why, advice, codes in _ADVICE for code in codes}


def judge(reply: Answer | NoAnswer) -> Refused | Unsent | Uncertain:
    """What follows from a reply that is not a success. What is not recognised is uncertain (P4)."""
    if isinstance(reply, NoAnswer):
        return Uncertain(reply.message) if reply.sent else Unsent(reply.message)
    code, status = reply.code, reply.http_status
    if code in _CLOCK:
        return Unsent(reply.message)
    if code in _THROTTLED or status in (418, 429):
        return Unsent(reply.message, reply.retry_after_s * 1000)
    if status == 503 and code is None and _UNAVAILABLE in reply.message.lower():
        return Unsent(reply.message)
    if code is None or code in _ASK_FIRST or status >= 500 or status == 408:
        return Unsent(reply.message) if status == 403 else Uncertain(reply.message or f"HTTP {status}")
    return _refused(reply, code) if _is_refusal(code) else Uncertain(f"{code}: {reply.message}")


def _is_refusal(code: int) -> bool:
    """Whether Binance documents the code's group as checked before an order is matched."""
    return -1199 <= code <= -1002 or -2099 <= code <= -2010 or -4999 <= code <= -4000 or -5099 <= code <= -5000


def _refused(answer: Answer, code: int) -> Refused:
    why, advice = _ACT_ON.get(code, ("refused", "Binance refused the request."))
    return Refused(code, why, f"{advice} (Binance {code}: {answer.message})")
