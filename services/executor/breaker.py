"""The API-break breaker: when protections are refused in a way that nobody foresaw, the exchange has changed. Pure.

On 2025-12-09 Binance moved stop orders to its Algo Service; from then on every bot's stop-loss was refused with -4120,
for every customer. Whoever goes on entering then opens one position after another only to close it again at a loss.
"""

from services.executor.outcomes import Answer, NoAnswer, judge
from services.executor.why import Why, answered
from shared.contracts import MarketType
from shared.reasons import Reason

# neither the customer's matter nor the market's, nor an outage
_UNFORESEEN = (Reason.API_CHANGED, Reason.REFUSED, Reason.UNRECOGNISED)


def unforeseen(reply: Answer | NoAnswer, market: MarketType) -> int | None:
    """What a protection's unforeseen refusal is known by; null for everything else.

    Binance's code (negative), or the HTTP status of an answer without one that says that the endpoint is gone.
    """
    if isinstance(reply, NoAnswer):
        return None
    reason = judge(reply, market).why.reason
    if reply.code is None:
        return reply.http_status if reason is Reason.API_CHANGED else None
    return reply.code if reason in _UNFORESEEN else None


def stopped(code: int, said: str) -> Why:
    """Why no entry is made, for its record and for the operator."""
    return answered(Reason.STOPPED, code, said) if code < 0 else answered(Reason.STOPPED, None, f"HTTP {code}: {said}")
