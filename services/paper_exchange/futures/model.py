"""What the exchange remembers of an account: positions, orders, conditional orders, trades, incomes. Pure.

Prices are USDT per base, quantities base, amounts of money USDT; all Decimal. Times are UTC epoch milliseconds.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.paper_exchange.books import Books
from services.paper_exchange.futures.symbols import LEVERAGE_DEFAULT

ZERO = Decimal(0)
Json = dict[str, Any]


@dataclass(slots=True)
class Position:
    """A position of one symbol and side (BOTH in one-way mode). `amount` is signed: negative is short.

    `isolated_wallet` is the margin set apart for it; 0 where its symbol is crossed.
    """

    symbol: str
    side: str
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    realized: Decimal = ZERO
    updated_ms: int = 0
    isolated_wallet: Decimal = ZERO
    opened_ms: int = 0


@dataclass(slots=True)
class Order:
    """An order in the matching engine. `cum_quote` is what its fills cost, in USDT."""

    id: int
    client_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    created_ms: int
    updated_ms: int
    close_position: bool = False
    status: str = "NEW"
    executed: Decimal = ZERO
    cum_quote: Decimal = ZERO
    stp: str = "EXPIRE_MAKER"
    good_till_ms: int = 0

    @property
    def signed(self) -> Decimal:
        """The quantity still to fill, negative for a sell."""
        left = self.quantity - self.executed
        return left if self.side == "BUY" else -left

    @property
    def average(self) -> Decimal:
        """Average fill price; 0 before the first fill."""
        return self.cum_quote / self.executed if self.executed else ZERO


@dataclass(slots=True)
class Algo:
    """A conditional order of the Algo Service. `order_id` is the order it became, 0 before it triggers."""

    id: int
    client_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    trigger_price: Decimal
    price: Decimal
    reduce_only: bool
    close_position: bool
    created_ms: int
    updated_ms: int
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    status: str = "NEW"
    trigger_ms: int = 0
    order_id: int = 0
    actual_price: Decimal = ZERO
    actual_quantity: Decimal = ZERO
    reject_reason: str = ""
    stp: str = "EXPIRE_MAKER"
    good_till_ms: int = 0

    @property
    def rises(self) -> bool:
        """Whether it triggers when the price is at or above `trigger_price` (else at or below)."""
        return self.type.startswith("STOP") == (self.side == "BUY")

    def is_reached(self, price: Decimal) -> bool:
        """Whether this price triggers it."""
        return price >= self.trigger_price if self.rises else price <= self.trigger_price


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill; `realized` is the profit before the fee."""

    id: int
    order_id: int
    symbol: str
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    realized: Decimal
    fee: Decimal
    maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class Income:
    """A change of the wallet."""

    id: int
    type: str
    symbol: str
    amount: Decimal
    time_ms: int
    trade_id: int = 0


@dataclass
class Account:
    """A futures account. Fields are its lasting state; the indexes made in __post_init__ are rebuilt from them."""

    api_key: str
    wallet: Decimal
    created_ms: int
    hedge_mode: bool = False
    multi_assets: bool = False
    leverages: dict[str, int] = field(default_factory=dict)
    margin_types: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    algos: dict[int, Algo] = field(default_factory=dict)
    trades: dict[int, list[Trade]] = field(default_factory=dict)
    incomes: list[Income] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open_orders = {order.id: order for order in self.orders.values() if order.status == "NEW"}
        self.open_algos = {algo.id: algo for algo in self.algos.values() if algo.status == "NEW"}
        self.order_by_client_id = {order.client_id: order for order in self.orders.values()}
        self.algo_by_client_id = {algo.client_id: algo for algo in self.algos.values()}
        # None while no socket listens, so that thousands of unwatched accounts pay nothing for events
        self.outbox: list[Json] | None = None

    def leverage(self, symbol: str) -> int:
        """The leverage set for a symbol, 20 by default."""
        return self.leverages.get(symbol, LEVERAGE_DEFAULT)

    def is_isolated(self, symbol: str) -> bool:
        """Whether the symbol's margin type is isolated."""
        return self.margin_types.get(symbol) == "ISOLATED"

    def position(self, symbol: str, side: str) -> Position:
        """The position of a symbol and side, made flat where there was none."""
        key = f"{symbol}:{side}"
        return self.positions.get(key) or self.positions.setdefault(key, Position(symbol, side))

    def held(self) -> list[Position]:
        """Positions that are not flat."""
        return [position for position in self.positions.values() if position.amount]

    def is_idle(self, symbol: str) -> bool:
        """Whether a price move of the symbol cannot concern this account."""
        return (
            not any(position.amount for position in self.positions.values() if position.symbol == symbol)
            and not any(order.symbol == symbol for order in self.open_orders.values())
            and not any(algo.symbol == symbol for algo in self.open_algos.values())
        )


class Market:
    """All accounts and prices (mark = last = index), and the counters of ids."""

    def __init__(self, prices: dict[str, Decimal], first_id: int = 1) -> None:
        self.prices = prices
        self.accounts: dict[str, Account] = {}
        self.last_id = first_id
        self.books = Books()
        self.statuses: dict[str, str] = {}  # of symbols that do not trade
        # Accounts that a price move may concern, by symbol; left lazily, when a move finds them idle.
        self.watching: dict[str, dict[str, Account]] = {symbol: {} for symbol in prices}

    def add(self, account: Account) -> None:
        """Open an account, or take one over from a snapshot."""
        self.accounts[account.api_key] = account
        for symbol in self.prices:
            if not account.is_idle(symbol):
                self.watching[symbol][account.api_key] = account

    def watch(self, symbol: str, account: Account) -> None:
        """From now on price moves of this symbol concern the account."""
        self.watching[symbol][account.api_key] = account

    def next_id(self) -> int:
        """A new id, unique over the exchange and rising."""
        self.last_id += 1
        return self.last_id
