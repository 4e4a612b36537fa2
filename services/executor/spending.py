"""What a spot entry may spend: never more than the margin, never so little that it could not be sold again. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from services.executor import why
from services.executor.orders import SymbolRules
from services.executor.sizing import stop_trigger
from shared.contracts import TradeConfig
from shared.money import ceil_to, floor_to

# Binance holds NOTIONAL against the price at matching (or its average of minutes), which is not the one we read.
_HEADROOM = Decimal("1.01")


@dataclass(frozen=True, slots=True)
class Buy:
    """How much of the quote asset to spend, and what that buys of the base asset at the price that was read."""

    spend: Decimal
    quantity: Decimal


def buy(config: TradeConfig, price: Decimal, rules: SymbolRules, fee: Decimal) -> Buy | why.Why:
    """The margin, rounded down to what the quote asset knows; `fee` as a fraction, taken of what is bought.

    What remains after the fee must be sellable at the stop-loss (LOT_SIZE, NOTIONAL), else it could not be protected.
    Where it is not: why, and the margin that would do.
    """
    spend = floor_to(config.margin_usd, rules.spend_step)
    quantity = floor_to(spend / price, rules.quantity_step)
    if quantity > rules.quantity_max or (rules.notional_max is not None and spend > rules.notional_max):
        return why.above_maximum(rules.symbol, rules.quantity_max)
    least = _least(config, price, rules)
    if _after(fee, quantity, rules) < least:
        return why.too_little_to_sell(rules.symbol, config.margin_usd, _enough(price, rules, fee, least))
    return Buy(spend, quantity)


def _least(config: TradeConfig, price: Decimal, rules: SymbolRules) -> Decimal:
    """The smallest quantity that can be sold at the price, and at the stop-loss."""
    if config.stop_loss_pct:
        price = min(price, stop_trigger("long", price, config.stop_loss_pct, rules))
    return ceil_to(max(rules.quantity_min, rules.notional_min * _HEADROOM / price), rules.quantity_step)


def _after(fee: Decimal, quantity: Decimal, rules: SymbolRules) -> Decimal:
    return floor_to(quantity * (1 - fee), rules.quantity_step)


def _enough(price: Decimal, rules: SymbolRules, fee: Decimal, least: Decimal) -> Decimal:
    """A margin in USD that buys so much that `least` remains."""
    quantity = ceil_to(least / (1 - fee), rules.quantity_step)
    if _after(fee, quantity, rules) < least:  # the division was rounded
        quantity += rules.quantity_step
    return ceil_to(quantity * price * _HEADROOM, Decimal("0.01"))
