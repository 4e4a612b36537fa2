"""Margin of a cross account: unrealized profit, initial and maintenance margin, available balance. Pure.

Isolated positions share the cross wallet here: their margin type is kept and shown, their wallet is not separate.
Source: developers.binance.com, USDⓈ-M Futures, "Account Information V3"; binance.com FAQ "Leverage and Margin".
"""

from dataclasses import dataclass
from decimal import Decimal

from services.paper_exchange.futures.model import ZERO, Account, Market, Order, Position
from services.paper_exchange.futures.symbols import SYMBOLS


@dataclass(frozen=True, slots=True)
class Margins:
    """Sums over an account, in USDT."""

    wallet: Decimal
    unrealized: Decimal
    position_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal

    @property
    def balance(self) -> Decimal:
        """Margin balance."""
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        """Initial margin of positions and open orders."""
        return self.position_initial + self.order_initial

    @property
    def available(self) -> Decimal:
        """What new orders may use; never below 0."""
        return max(ZERO, self.balance - self.initial)


def unrealized(position: Position, mark: Decimal) -> Decimal:
    """Profit of a position at this mark price."""
    return position.amount * (mark - position.entry)


def initial(account: Account, position: Position, mark: Decimal) -> Decimal:
    """Initial margin of a position."""
    return abs(position.amount) * mark / account.leverage(position.symbol)


def opens(position: Position, order: Order) -> Decimal:
    """How much of an order would open or enlarge a position rather than reduce one."""
    signed = order.signed
    if order.reduce_only or is_hedge_close(order):
        return ZERO
    if position.amount * signed >= 0:
        return abs(signed)
    return max(ZERO, abs(signed) - abs(position.amount))


def is_hedge_close(order: Order) -> bool:
    """Whether an order of hedge mode can only reduce: SELL + LONG, BUY + SHORT."""
    return (order.position_side, order.side) in (("LONG", "SELL"), ("SHORT", "BUY"))


def order_initial(account: Account) -> Decimal:
    """Initial margin of the open orders, each taken by itself."""
    total = ZERO
    for order in account.open_orders.values():
        opening = opens(account.position(order.symbol, order.position_side), order)
        total += opening * order.price / account.leverage(order.symbol)
    return total


def margins(market: Market, account: Account) -> Margins:
    """The account's sums at current prices."""
    profit = position_initial = maintenance = ZERO
    for position in account.held():
        mark = market.prices[position.symbol]
        profit += unrealized(position, mark)
        position_initial += initial(account, position, mark)
        maintenance += SYMBOLS[position.symbol].maintenance(abs(position.amount) * mark)
    open_orders = order_initial(account) if account.open_orders else ZERO
    return Margins(account.wallet, profit, position_initial, open_orders, maintenance)


def liquidation_price(market: Market, account: Account, position: Position) -> Decimal:
    """The mark price that would liquidate the account, all other prices standing still; 0 where none would."""
    mark, symbol = market.prices[position.symbol], SYMBOLS[position.symbol]
    notional = abs(position.amount) * mark
    bracket = next((b for b in symbol.brackets if notional <= b.cap), symbol.brackets[-1])
    slope = position.amount - abs(position.amount) * bracket.ratio
    if not slope:
        return ZERO
    sums = margins(market, account)
    headroom = sums.balance - sums.maintenance
    return max(ZERO, mark - headroom / slope)
