"""Values of the trade itself: orders to place, what the exchange says of them, positions. Nothing here acts."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from uuid import UUID

from shared.contracts import CloseReason, Environment, MarginType, MarketType, WorkingType

PositionSide = Literal["BOTH", "LONG", "SHORT"]
Direction = Literal["long", "short"]
OrderSide = Literal["BUY", "SELL"]
ProtectionReason = Literal[CloseReason.STOP_LOSS, CloseReason.TAKE_PROFIT]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a market can do, where markets differ.

    `shorts`: a sell may open a position. `leveraged`: a margin is multiplied. `nets`: what an account holds of a symbol
    is one amount, so that positions of several owners work against each other. `locks`: a protection locks what it is
    to sell, so both are one order list, and it is released before anything else can sell; and nothing at the exchange
    keeps an exit from selling what the customer holds by hand.
    """

    name: str
    shorts: bool
    leveraged: bool
    nets: bool
    locks: bool


TRAITS: dict[MarketType, Traits] = {
    "futures": Traits("USDⓈ-M Futures", shorts=True, leveraged=True, nets=True, locks=False),
    "spot": Traits("Spot", shorts=False, leveraged=False, nets=False, locks=True),
}


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
    """What Binance demands of orders in a symbol: `GET /fapi/v1/exchangeInfo` or `/api/v3/…`, in quote or base units.

    `quantity_step`, `quantity_min` and `quantity_max` suit both LOT_SIZE and MARKET_LOT_SIZE. `price_min` and
    `price_max` are PRICE_FILTER's, for triggers; 0 means that there is no bound. On spot: `spend_step` is the smallest
    amount of the quote asset, `notional_max` NOTIONAL's for market orders, `protections_max` MAX_NUM_ALGO_ORDERS,
    `can_protect` whether stop-losses, take-profits and OCO are taken.
    """

    symbol: str
    tick: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    notional_min: Decimal
    price_min: Decimal = Decimal(0)
    price_max: Decimal = Decimal(0)
    spend_step: Decimal = Decimal("0.00000001")
    notional_max: Decimal | None = None
    protections_max: int | None = None
    can_protect: bool = True
    quote: str = "USDT"


@dataclass(frozen=True, slots=True)
class Bracket:
    """Up to `most_usd` of a symbol may be held at `leverage`: `GET /fapi/v1/leverageBracket`."""

    leverage: int
    most_usd: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account held of an asset, free and locked together, at a moment of the exchange's clock."""

    total: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Funds:
    """A spot account as an entry must know it: its balance of the base asset, and its fee as a fraction (0.001)."""

    base: Balance
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill of an order. `quantity` in the base asset, `price` in quote, `fee` in `fee_asset`."""

    order_id: str
    side: OrderSide
    position_side: PositionSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str


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
    """`POST /fapi/v1/order` or `/api/v3/order`, type MARKET. Sent twice it fills twice: see `placing`.

    On spot, an entry spends `spend` of the quote asset, and `quantity` is what that buys at the price that was read.
    `before` is what the account held just before, where nothing else tells of an order that queries hide; an exit that
    has it left the position without protection, and is tried until it is done.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    purpose: Purpose
    symbol: str
    side: OrderSide
    position_side: PositionSide
    quantity: Decimal
    position: Position | None = None  # what it closes; none for an entry
    close_reason: CloseReason = CloseReason.SIGNAL
    earlier_order_ids: tuple[str, ...] = ()  # of orders that closed a part of the position before
    spend: Decimal | None = None
    before: Balance | None = None

    @property
    def reduce_only(self) -> bool:
        """Whether the exchange must refuse it rather than open anything."""
        return self.purpose is not Purpose.ENTRY

    @property
    def is_naked(self) -> bool:
        """Whether it sells what nothing protects any more."""
        return self.reduce_only and self.before is not None


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
class Oco:
    """`POST /api/v3/orderList/oco`: stop-loss and take-profit as one order list; the first that triggers ends both."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    stop: Protection
    target: Protection
    client_id: str  # the list's

    @property
    def reason(self) -> ProtectionReason:
        """Without it the position has no stop-loss."""
        return self.stop.reason

    @property
    def symbol(self) -> str:
        """Binance's."""
        return self.stop.symbol

    @property
    def quantity(self) -> Decimal | None:
        """Of the base asset; each leg's."""
        return self.stop.quantity


@dataclass(frozen=True, slots=True)
class Release:
    """Cancel what locks a position's asset and learn what it had sold before (spot). The exit begins with it.

    `absent_from_ms`: a protection that the exchange does not know when asked after this never arrived; null where all
    are known to have stood. `begun`: they may be cancelled already.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    position: Position
    purpose: Purpose
    close_reason: CloseReason
    earlier_order_ids: tuple[str, ...] = ()
    absent_from_ms: int | None = None
    begun: bool = False


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


@dataclass(frozen=True, slots=True)
class AskPrice:
    """Ask once more at what price the entry filled, where that was not told before it had to be protected."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, which tells steps apart by their fields

    symbol: str
    entry_client_id: str


Step = SetMarginType | SetLeverage | MarketOrder | Protection | Oco | AskPrice | Release | CancelProtection | Settle


@dataclass(frozen=True, slots=True)
class Intent:
    """The one request that may be in the world for the step being done (P1); its time stamp is the request's (P2)."""

    client_id: str
    stamp_ms: int
    recv_window_ms: int


@dataclass(frozen=True, slots=True)
class Order:
    """What the exchange knows of an order. `average_price` is null where it does not say (POST, since 2026-06-30).

    `fee` is what was taken of the base asset itself: spot buys, unless fees are paid in BNB.
    """

    order_id: str
    status: str
    executed_quantity: Decimal
    average_price: Decimal | None
    time_ms: int
    fee: Decimal = Decimal(0)

    @property
    def is_final(self) -> bool:
        """Whether it can fill no further. A status we do not know is not final: it is asked about again."""
        return self.status in ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH")


@dataclass(frozen=True, slots=True)
class AccountView:
    """What must be known before an execution is planned.

    `held` is `positionAmt` per symbol and position side, ours included. `own` are this subscription's open positions
    as they are now, `others` those of the same account's other subscriptions. `leverage` and `margin_type` are what
    the account has set for the symbol (null: not told), `brackets` what it may set (empty: not told). `funds` are a
    spot account's.
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
    funds: Funds | None = None

    def amount(self, symbol: str, position_side: PositionSide) -> Decimal:
        """Signed quantity that the account holds."""
        return sum((a for s, p, a in self.held if (s, p) == (symbol, position_side)), Decimal(0))


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds of a symbol, as in `AccountView`, and how it trades it."""

    held: tuple[tuple[str, PositionSide, Decimal], ...]
    leverage: int | None
    margin_type: MarginType | None


def leave(market: MarketType, position: Position, purpose: Purpose, reason: CloseReason) -> MarketOrder | Release:
    """The step with which the end of a position begins."""
    return Release(position, purpose, reason) if TRAITS[market].locks else close(position, purpose, reason)


def close(position: Position, purpose: Purpose, reason: CloseReason) -> MarketOrder:
    """The market order that closes a position: its own quantity, reduce-only, so that nothing else is touched."""
    side = closing_side(position.direction)
    return MarketOrder(purpose, position.symbol, side, position.position_side, position.quantity, position, reason)
