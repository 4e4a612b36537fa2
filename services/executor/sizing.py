"""Quantities and trigger prices that are legal for a symbol and never more than was asked for. Pure."""

from decimal import Decimal

from services.executor import why
from services.executor.orders import Direction, SymbolRules
from shared.contracts import TradeConfig
from shared.money import ceil_to, floor_to

_HUNDRED = Decimal(100)
# Binance checks MIN_NOTIONAL against the mark price at matching, which has moved since we read it.
_NOTIONAL_HEADROOM = Decimal("1.01")


def quantity(config: TradeConfig, price: Decimal, rules: SymbolRules) -> Decimal | why.Why:
    """Margin × leverage ÷ price in the base asset, rounded down to the step: less than asked perhaps, never more.

    Where that is not legal in the symbol: why, and what would be.

    Filters: LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL (which is held against the price for market orders).
    """
    notional = config.margin_usd * config.leverage
    amount = floor_to(notional / price, rules.quantity_step)
    if amount > rules.quantity_max:
        return why.above_maximum(rules.symbol, rules.quantity_max)
    least = ceil_to(max(rules.quantity_min, rules.notional_min / price), rules.quantity_step)
    if amount < least or amount * price < rules.notional_min:
        margin = ceil_to(least * price * _NOTIONAL_HEADROOM / config.leverage, Decimal("0.01"))
        return why.below_minimum(rules.symbol, config.margin_usd, config.leverage, margin)
    return amount


def stop_trigger(direction: Direction, entry: Decimal, pct: Decimal, tick: Decimal) -> Decimal:
    """The stop-loss price `pct` percent from the entry, on its losing side, rounded to the tick toward the entry.

    Never a larger loss than asked, except where less than one tick was asked for: then one tick.
    """
    if direction == "long":
        return min(ceil_to(entry * (1 - pct / _HUNDRED), tick), _below(entry, tick))
    return max(floor_to(entry * (1 + pct / _HUNDRED), tick), _above(entry, tick))


def target_trigger(direction: Direction, entry: Decimal, pct: Decimal, tick: Decimal) -> Decimal:
    """The take-profit price `pct` percent from the entry, on its winning side, rounded to the tick toward the entry.

    Never a target later than asked, except where less than one tick was asked for: then one tick. A short's target
    stays above zero.
    """
    if direction == "long":
        return max(floor_to(entry * (1 + pct / _HUNDRED), tick), _above(entry, tick))
    return max(min(ceil_to(entry * (1 - pct / _HUNDRED), tick), _below(entry, tick)), tick)


def _below(price: Decimal, tick: Decimal) -> Decimal:
    return ceil_to(price, tick) - tick


def _above(price: Decimal, tick: Decimal) -> Decimal:
    return floor_to(price, tick) + tick
