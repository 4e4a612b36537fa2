"""How much leverage Binance allows an account for a symbol and a size. Pure.

Source: "Notional and Leverage Brackets" and the error codes -4028 (more leverage than the symbol has) and -2027 (a
position larger than its leverage may hold).
"""

from collections.abc import Sequence
from decimal import Decimal

from services.executor.orders import Bracket


def most_usd(brackets: Sequence[Bracket], leverage: int) -> Decimal:
    """The largest position in USD that may be held at this leverage; 0 where the leverage is not allowed at all."""
    return max((bracket.most_usd for bracket in brackets if bracket.leverage >= leverage), default=Decimal(0))


def most_leverage(brackets: Sequence[Bracket]) -> int:
    """The highest leverage that the symbol has for any size."""
    return max(bracket.leverage for bracket in brackets)


def highest(brackets: Sequence[Bracket], asked: int, margin_usd: Decimal, held_usd: Decimal) -> int | None:
    """The highest leverage up to `asked` at which the margin may be traded beside what is held; null: at none.

    Where the brackets are not known, what was asked: Binance decides.
    """
    if not brackets:
        return asked
    allowed = (lev for lev in range(asked, 0, -1) if margin_usd * lev + held_usd <= most_usd(brackets, lev))
    return next(allowed, None)
