"""Margin: unrealized profit, initial and maintenance margin, available balance, liquidation price. Pure.

Crossed positions share the wallet; an isolated one has a wallet of its own, moved out of the shared one when it opens.
Source: developers.binance.com, USDⓈ-M Futures, "Account Information V3"; binance.com FAQ "Leverage and Margin".
"""

from dataclasses import dataclass
from decimal import Decimal

from services.paper_exchange.futures.model import ZERO, Account, Algo, Market, Order, Position
from services.paper_exchange.futures.symbols import SYMBOLS


@dataclass(frozen=True, slots=True)
class Margins:
    """Sums over an account, in USDT; `cross` ones leave isolated positions out."""

    wallet: Decimal
    isolated: Decimal
    unrealized: Decimal
    cross_unrealized: Decimal
    position_initial: Decimal
    cross_initial: Decimal
    order_initial: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal

    @property
    def balance(self) -> Decimal:
        """Margin balance."""
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        """Initial margin of positions and open orders."""
        return self.position_initial + self.order_initial

    @property
    def cross_wallet(self) -> Decimal:
        """What is not in the wallets of isolated positions."""
        return self.wallet - self.isolated

    @property
    def cross_balance(self) -> Decimal:
        """What crossed positions can lose before they are liquidated at 0 maintenance."""
        return self.cross_wallet + self.cross_unrealized

    @property
    def available(self) -> Decimal:
        """What new orders may use; never below 0."""
        return max(ZERO, self.cross_balance - self.cross_initial - self.order_initial)


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


def is_hedge_close(order: Order | Algo) -> bool:
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
    isolated = profit = cross_profit = position_initial = cross_initial = total = cross_total = ZERO
    for position in account.held():
        mark = market.prices[position.symbol]
        gained, tied, kept = unrealized(position, mark), initial(account, position, mark), maintenance(position, mark)
        profit, position_initial, total = profit + gained, position_initial + tied, total + kept
        isolated += position.isolated_wallet
        if not account.is_isolated(position.symbol):
            cross_profit, cross_initial, cross_total = cross_profit + gained, cross_initial + tied, cross_total + kept
    open_orders = order_initial(account) if account.open_orders else ZERO
    return Margins(
        wallet=account.wallet,
        isolated=isolated,
        unrealized=profit,
        cross_unrealized=cross_profit,
        position_initial=position_initial,
        cross_initial=cross_initial,
        order_initial=open_orders,
        maintenance=total,
        cross_maintenance=cross_total,
    )


def maintenance(position: Position, mark: Decimal) -> Decimal:
    """Maintenance margin of a position at this mark price."""
    return SYMBOLS[position.symbol].maintenance(abs(position.amount) * mark)


def headroom(market: Market, account: Account, position: Position) -> Decimal:
    """What a position, or all crossed ones together, can still lose before liquidation; 0 or less: now."""
    if account.is_isolated(position.symbol):
        mark = market.prices[position.symbol]
        return position.isolated_wallet + unrealized(position, mark) - maintenance(position, mark)
    sums = margins(market, account)
    return sums.cross_balance - sums.cross_maintenance


def liquidation_price(market: Market, account: Account, position: Position) -> Decimal:
    """The mark price that would liquidate a position, all other prices standing still; 0 where none would."""
    mark, symbol = market.prices[position.symbol], SYMBOLS[position.symbol]
    notional = abs(position.amount) * mark
    bracket = next((b for b in symbol.brackets if notional <= b.cap), symbol.brackets[-1])
    slope = position.amount - abs(position.amount) * bracket.ratio
    return max(ZERO, mark - headroom(market, account, position) / slope) if slope else ZERO
