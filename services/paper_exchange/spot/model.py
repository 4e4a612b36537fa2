"""What the exchange remembers of a spot account: balances, orders, order lists, trades. Pure.

Prices are USDT per base, quantities base; all Decimal. Times are UTC epoch milliseconds. What is locked is
never stored: it follows from the open orders, so that nothing can be locked, sold or spent twice.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.paper_exchange.books import Books
from services.paper_exchange.spot.symbols import QUOTE, STP_DEFAULT, SYMBOLS

ZERO = Decimal(0)
NO_LIST = -1
Json = dict[str, Any]

STOPS = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})
ALGO_TYPES = STOPS | {"TAKE_PROFIT", "TAKE_PROFIT_LIMIT"}
LIMIT_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})


@dataclass(slots=True)
class Order:
    """An order. `cum_quote` is what its fills cost or brought; `working_ms` is -1 until it is on the book."""

    id: int
    client_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    created_ms: int
    updated_ms: int
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    quote_quantity: Decimal = ZERO
    list_id: int = NO_LIST
    status: str = "NEW"
    executed: Decimal = ZERO
    cum_quote: Decimal = ZERO
    working_ms: int = -1
    expiry_reason: str = ""
    stp: str = STP_DEFAULT
    strategy_id: int | None = None
    strategy_type: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it still waits for its stop price."""
        return self.type in ALGO_TYPES and self.working_ms < 0

    @property
    def left(self) -> Decimal:
        """What is still to fill, in base."""
        return self.quantity - self.executed

    @property
    def lock(self) -> Decimal:
        """What it reserves while open: base for a sell, quote for a buy."""
        if self.side == "SELL":
            return self.left
        return self.left * (self.price or self.stop_price)

    @property
    def locks(self) -> str:
        """The asset it reserves."""
        return SYMBOLS[self.symbol].base if self.side == "SELL" else QUOTE

    @property
    def rises(self) -> bool:
        """Whether it triggers when the price is at or above `stop_price` (else at or below)."""
        return (self.type in STOPS) == (self.side == "BUY")

    def is_reached(self, price: Decimal) -> bool:
        """Whether this price triggers it (waiting) or fills it (on the book)."""
        if self.is_waiting:
            return price >= self.stop_price if self.rises else price <= self.stop_price
        return price <= self.price if self.side == "BUY" else price >= self.price


@dataclass(slots=True)
class OrderList:
    """An OCO: two orders of which the first to start cancels the other."""

    id: int
    client_id: str
    symbol: str
    order_ids: list[int]
    time_ms: int
    contingency: str = "OCO"
    done: bool = False


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill; `fee` is in the asset received."""

    id: int
    order_id: int
    list_id: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    maker: bool
    time_ms: int

    @property
    def quote(self) -> Decimal:
        """What it cost or brought, in quote."""
        return self.price * self.quantity

    @property
    def fee_asset(self) -> str:
        """The asset the fee is taken in."""
        return SYMBOLS[self.symbol].base if self.side == "BUY" else QUOTE


@dataclass
class Account:
    """A spot account. Fields are its lasting state; the indexes made in __post_init__ are rebuilt from them.

    `totals` are balances, free and locked together.
    """

    api_key: str
    created_ms: int
    totals: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    lists: dict[int, OrderList] = field(default_factory=dict)
    trades: dict[int, list[Trade]] = field(default_factory=dict)
    updated_ms: int = 0

    def __post_init__(self) -> None:
        self.open_orders = {order.id: order for order in self.orders.values() if order.status == "NEW"}
        self.open_lists = {row.id: row for row in self.lists.values() if not row.done}
        self.order_by_client_id = {order.client_id: order for order in self.orders.values()}
        self.list_by_client_id = {row.client_id: row for row in self.lists.values()}
        # None while no socket listens, so that thousands of unwatched accounts pay nothing for events
        self.outbox: list[Json] | None = None

    def total(self, asset: str) -> Decimal:
        """Free and locked together."""
        return self.totals.get(asset, ZERO)

    def locked(self, asset: str, but: Order | None = None) -> Decimal:
        """What open orders, `but` one, reserve of an asset; those of a list reserve the larger of both once."""
        rows = [order for order in self.open_orders.values() if order.locks == asset and order is not but]
        alone = sum((order.lock for order in rows if order.list_id not in self.open_lists), ZERO)
        paired: dict[int, Decimal] = {}
        for order in rows:
            if order.list_id in self.open_lists:
                paired[order.list_id] = max(paired.get(order.list_id, ZERO), order.lock)
        return alone + sum(paired.values(), ZERO)

    def free(self, asset: str, but: Order | None = None) -> Decimal:
        """What new orders may use; or `but` this open one, which has reserved some of it already."""
        return self.total(asset) - self.locked(asset, but)

    def is_idle(self, symbol: str) -> bool:
        """Whether a price move of the symbol cannot concern this account."""
        return not any(order.symbol == symbol for order in self.open_orders.values())


class Market:
    """All spot accounts, prices and thin books shared with the futures market, and the counter of ids."""

    def __init__(self, prices: dict[str, Decimal], books: Books, first_id: int = 1) -> None:
        self.prices, self.books = prices, books
        self.accounts: dict[str, Account] = {}
        self.last_id = first_id
        self.statuses: dict[str, str] = {}  # of symbols that do not trade
        # Accounts that a price move may concern, by symbol; left lazily, when a move finds them idle.
        self.watching: dict[str, dict[str, Account]] = {symbol: {} for symbol in SYMBOLS}

    def add(self, account: Account) -> None:
        """Open an account, or take one over from a snapshot."""
        self.accounts[account.api_key] = account
        for symbol in SYMBOLS:
            if not account.is_idle(symbol):
                self.watching[symbol][account.api_key] = account

    def watch(self, symbol: str, account: Account) -> None:
        """From now on price moves of this symbol concern the account."""
        self.watching[symbol][account.api_key] = account

    def next_id(self) -> int:
        """A new id, unique over the spot market and rising."""
        self.last_id += 1
        return self.last_id
