"""Whether a position of ours still stands, judged from what the exchange says. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from services.executor.orders import Order, Position
from shared.contracts import CloseReason


@dataclass(frozen=True, slots=True)
class Reading:
    """What the exchange says around a position.

    `amount` is `positionAmt` of its symbol and side, `standing` the client ids of untriggered protections, `fired`
    the market order that a protection became, by why: Binance gives it the protection's client id. `refused` are the
    client ids of those that triggered and were refused then.
    """

    amount: Decimal
    standing: frozenset[str]
    fired: tuple[tuple[CloseReason, Order], ...]
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Left:
    """What a stop-loss that triggered left of a position, and the order that closed the rest, if one did."""

    quantity: Decimal
    order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """It stands. `lost` are protections that are no longer there although it does.

    `left`: its stop-loss has triggered, and refused or filled in part only it stands no more. `is_alone`: the account
    holds on its side what it holds, no more and no less.
    """

    lost: tuple[CloseReason, ...] = ()
    left: Left | None = None
    is_alone: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """It was closed, by the orders named (none where it was not by ours)."""

    reason: CloseReason
    order_ids: tuple[str, ...] = ()


def judge(position: Position, reading: Reading) -> Open | Gone:
    """A protection that has filled closed it; else it is gone when the account holds nothing on its side any more.

    A protection may fill in part, when the book is thin: what is left stands, and nothing protects it.
    """
    same_side = reading.amount > 0 if position.direction == "long" else reading.amount < 0
    for reason, order in reading.fired:
        if order.executed_quantity >= position.quantity or (order.executed_quantity > 0 and not same_side):
            return Gone(reason, (order.order_id,))
    if not same_side:
        return Gone(CloseReason.EXTERNAL)
    lost = tuple(reason for reason, name in position.protections if name not in reading.standing)
    return Open(lost, _left(position, reading), abs(reading.amount) == position.quantity)


def _left(position: Position, reading: Reading) -> Left | None:
    if position.stop_client_id in reading.refused:
        return Left(position.quantity)
    for reason, order in reading.fired:
        # a leg that was cancelled without having sold was cancelled by hand
        triggered = order.executed_quantity or order.status != "CANCELED"
        if reason is CloseReason.STOP_LOSS and order.is_final and triggered:
            closed_by = (order.order_id,) if order.executed_quantity else ()
            return Left(position.quantity - order.executed_quantity, closed_by)
    return None
