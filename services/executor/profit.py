"""What a closed position earned, from the fills that opened and closed it. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from services.executor.orders import Direction, Fill
from shared.money import floor_to


def traded(fills: Sequence[Fill]) -> Decimal:
    """Quantity in the base asset."""
    return sum((fill.quantity for fill in fills), Decimal(0))


def notional(fills: Sequence[Fill]) -> Decimal:
    """Price × quantity, in the quote asset."""
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0))


def of_contracts(direction: Direction, entry: Sequence[Fill], exits: Sequence[Fill]) -> Decimal | None:
    """Before fees; null where not all of what was opened was closed by these fills."""
    if not entry or traded(entry) != traded(exits):
        return None
    gross = notional(exits) - notional(entry)
    return gross if direction == "long" else -gross


def of_coins(entry: Sequence[Fill], exits: Sequence[Fill], base: str, step: Decimal) -> Decimal | None:
    """Before fees other than those taken of the coins bought; null where not all that could be sold was.

    What is too little to be sold (less than `step`) stays with the customer, and with it what it cost.
    """
    kept = traded(entry) - sum((fill.fee for fill in entry if fill.fee_asset == base), Decimal(0))
    sold = traded(exits)
    if not sold or floor_to(kept, step) != sold:
        return None
    return notional(exits) - notional(entry) * sold / kept
