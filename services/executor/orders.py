"""Values of the trade itself: orders to place, what the exchange says of them, positions. Nothing here acts."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from uuid import UUID

from shared.contracts import CloseReason, Environment, MarginType, WorkingType

PositionSide = Literal["BOTH", "LONG", "SHORT"]
Direction = Literal["long", "short"]
OrderSide = Literal["BUY", "SELL"]
ProtectionReason = Literal[CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT]


def opening_side(direction: Direction) -> OrderSide:
    """The side of an order that opens or adds to a position in this direction."""
    return "BUY" if direction == "long" else "SELL"


def closing_side(direction: Direction) -> OrderSide:
    """The side of an order that reduces a position in this direction."""
    return "SELL" if direction == "long" else "BUY"


class Purpose(StrEnum):
    """What a market order is for. The first letter goes into its client order id."""

    ENTRY = "entry"
    EXIT = "exit"
    UNWIND = "unwind"


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """What Binance demands of orders in a symbol: `GET /fapi/v1/exchangeInfo`, filters, in quote or base units.

    `quantity_step`, `quantity_min` and `quantity_max` suit both LOT_SIZE and MARKET_LOT_SIZE. `price_min` and
    `price_max` are PRICE_FILTER's, for triggers; 0 means that there is no bound.
    """

    symbol: str
    tick: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    notional_min: Decimal
    price_min: Decimal = Decimal(0)
    price_max: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Up to `most_usd` of a symbol may be held at `leverage`: `GET /fapi/v1/leverageBracket`."""

    leverage: int
    most_usd: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """A position that one subscription opened: ours, apart from what the customer holds by hand.

    `quantity` in the base asset, always positive. `entry_price` null where the exchange never told it. A protection
    is null where none was asked for or none could be placed.
    """

    id: UUID
    symbol: str
    direction: Direction
    position_side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    entry_order_id: str
    opened_at_ms: int
    stop_client_id: str | None = None
    stop_order_id: str | None = None
    stop_price: Decimal | None = None
    target_client_id: str | None = None
    target_order_id: str | None = None
    target_price: Decimal | None = None

    @property
    def signed(self) -> Decimal:
        """Quantity with the sign that Binance's `positionAmt` gives it."""
        return self.quantity if self.direction == "long" else -self.quantity

    @property
    def protections(self) -> tuple[tuple[CloseReason, str], ...]:
        """Why the position would be closed by each protection, and that protection's client id."""
        pairs = ((CloseReason.STOP_LOSS, self.stop_client_id), (CloseReason.TAKE_PROFIT, self.target_client_id))
        return tuple((reason, name) for reason, name in pairs if name is not None)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose orders these are: an exchange account on one of Binance's environments."""

    id: UUID
    environment: Environment


# Steps: what an execution still has to do at the exchange, one after another.


@dataclass(frozen=True, slots=True)
class SetLeverage:
    """`POST /fapi/v1/leverage`; saying it twice changes nothing."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True)
class SetMarginType:
    """`POST /fapi/v1/marginType`; saying it twice changes nothing."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    symbol: str
    margin_type: MarginType


@dataclass(frozen=True, slots=True)
class MarketOrder:
    """`POST /fapi/v1/order`, type MARKET. Sent twice it fills twice: only the placement protocol may send it."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    purpose: Purpose
    symbol: str
    side: OrderSide
    position_side: PositionSide
    quantity: Decimal
    position: Position | None = None  # what it closes; none for an entry
    close_reason: CloseReason = CloseReason.SIGNAL
    earlier_order_ids: tuple[str, ...] = ()  # of orders that closed a part of the position before

    @property
    def reduce_only(self) -> bool:
        """Whether the exchange must refuse it rather than open anything."""
        return self.purpose is not Purpose.ENTRY


@dataclass(frozen=True, slots=True)
class Protection:
    """`POST /fapi/v1/algoOrder`. `quantity` null: closePosition, the whole position of the symbol, gone with it.

    `working_type` is the price that triggers it; with `price_protect` not while mark and last price are far apart.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    reason: ProtectionReason
    symbol: str
    side: OrderSide
    position_side: PositionSide
    trigger: Decimal
    quantity: Decimal | None
    client_id: str
    working_type: WorkingType = "mark_price"
    price_protect: bool = False


@dataclass(frozen=True, slots=True)
class CancelProtection:
    """`DELETE /fapi/v1/algoOrder`; one that is gone already is as good as cancelled."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    symbol: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Read what a closed position earned. Without `exit_order_ids` it is also read whether and how it was closed.

    `earlier_order_ids` are those that closed a part of it before; `position` is then what was left.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    position: Position
    exit_order_ids: tuple[str, ...]
    reason: CloseReason
    earlier_order_ids: tuple[str, ...] = ()


Step = SetMarginType | SetLeverage | MarketOrder | Protection | CancelProtection | Settle


@dataclass(frozen=True, slots=True)
class Intent:
    """The one request that may be in the world for the step being done (P1); its time stamp is the request's (P2)."""

    client_id: str
    stamp_ms: int
    recv_window_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """What the exchange knows of an order. `average_price` is null where it does not say (POST, since 2026-06-30)."""

    order_id: str
    status: str
    executed_quantity: Decimal
    average_price: Decimal | None
    time_ms: int

    @property
    def is_final(self) -> bool:
        """Whether it can fill no further. A status we do not know is not final: it is asked about again."""
        return self.status in ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH")


@dataclass(frozen=True, slots=True)
class AccountView:
    """What must be known before an execution is planned.

    `held` is `positionAmt` per symbol and position side, ours included. `own` are this subscription's open positions
    as they are now, `others` those of the same account's other subscriptions. `leverage` and `margin_type` are what
    the account has set for the symbol (null: not told), `brackets` what it may set (empty: not told).
    """

    hedge: bool
    rules: SymbolRules | None
    price: Decimal | None
    leverage: int | None
    held: tuple[tuple[str, PositionSide, Decimal], ...]
    own: tuple[Position, ...]
    others: tuple[Position, ...]
    lost_today_usd: Decimal = Decimal(0)
    margin_type: MarginType | None = None
    brackets: tuple[Bracket, ...] = ()

    def amount(self, symbol: str, position_side: PositionSide) -> Decimal:
        """Signed quantity that the account holds."""
        return sum((a for s, p, a in self.held if (s, p) == (symbol, position_side)), Decimal(0))


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds of a symbol, as in `AccountView`, and how it trades it."""

    held: tuple[tuple[str, PositionSide, Decimal], ...]
    leverage: int | None
    margin_type: MarginType | None


def close(position: Position, purpose: Purpose, reason: CloseReason) -> MarketOrder:
    """The market order that closes a position: its own quantity, reduce-only, so that nothing else is touched."""
    side = closing_side(position.direction)
    return MarketOrder(purpose, position.symbol, side, position.position_side, position.quantity, position, reason)
