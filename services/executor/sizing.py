"""Sizes and trigger prices that are legal for a symbol and never more than was asked for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.executor import brackets as allowed
from services.executor import why
from services.executor.orders import Bracket, Direction, SymbolRules
from shared.contracts import TradeConfig
from shared.money import ceil_to, floor_to
from shared.reasons import Reason

_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
# Binance checks MIN_NOTIONAL against the mark price at matching, which has moved since we read it.
_NOTIONAL_HEADROOM = Decimal("1.01")


@dataclass(frozen=True, slots=True)
class Size:
    """An entry of `quantity` of the base asset at this leverage."""

    leverage: int
    quantity: Decimal


def size(
    config: TradeConfig,
    price: Decimal,
    rules: SymbolRules,
    brackets: Sequence[Bracket] = (),
    held_usd: Decimal = Decimal(0),
) -> Size | why.Why:
    """Margin × leverage ÷ price, rounded down to the step: less than asked perhaps, never more.

    The leverage is the one asked for, or with `leverage_policy` clamp the highest allowed below it. `held_usd` is what
    the account holds in the symbol on the entry's side already: it counts against the brackets. Where nothing legal
    comes of it: why, and what would do.

    Filters: LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL (which is held against the mark price for market orders).
    PERCENT_PRICE is about limit prices and does not concern us.
    """
    margin, symbol = config.margin_usd, rules.symbol
    fitted = _fit(config, margin, price, rules, brackets, held_usd)
    match fitted:
        case Size():
            return fitted
        case Reason.LEVERAGE_NOT_ALLOWED:
            return why.leverage_not_allowed(symbol, config.leverage, allowed.most_leverage(brackets))
        case Reason.POSITION_TOO_LARGE:
            most_usd = allowed.most_usd(brackets, config.leverage)
            highest = allowed.highest(brackets, config.leverage, margin, held_usd)
            return why.position_too_large(symbol, margin, config.leverage, held_usd, most_usd, highest)
        case Reason.ABOVE_MAXIMUM:
            return why.above_maximum(symbol, rules.quantity_max)
        case _:
            enough_usd = _enough(config, price, rules, brackets, held_usd)
            return why.below_minimum(symbol, margin, config.leverage, enough_usd)


def _fit(
    config: TradeConfig,
    margin_usd: Decimal,
    price: Decimal,
    rules: SymbolRules,
    brackets: Sequence[Bracket],
    held_usd: Decimal,
) -> Size | Reason:
    leverage = allowed.highest(brackets, config.leverage, margin_usd, held_usd)
    if leverage is None:
        return Reason.POSITION_TOO_LARGE
    if leverage != config.leverage and config.leverage_policy == "reject":
        too_high = config.leverage > allowed.most_leverage(brackets)
        return Reason.LEVERAGE_NOT_ALLOWED if too_high else Reason.POSITION_TOO_LARGE
    quantity = floor_to(margin_usd * leverage / price, rules.quantity_step)
    if quantity > rules.quantity_max:
        return Reason.ABOVE_MAXIMUM
    return Size(leverage, quantity) if quantity >= _least(price, rules) else Reason.BELOW_MINIMUM


def _least(price: Decimal, rules: SymbolRules) -> Decimal:
    """The smallest quantity that the symbol takes at this price."""
    step = rules.quantity_step
    least = max(ceil_to(max(rules.quantity_min, rules.notional_min / price), step), step)
    return least if least * price >= rules.notional_min else least + step


def _enough(
    config: TradeConfig, price: Decimal, rules: SymbolRules, brackets: Sequence[Bracket], held_usd: Decimal
) -> Decimal | None:
    """The smallest margin in whole cents, and some headroom, that would do; null where none would."""
    needed_usd = _least(price, rules) * price * _NOTIONAL_HEADROOM
    for leverage in range(config.leverage, 0, -1):
        margin_usd = ceil_to(needed_usd / leverage, _CENT)
        if isinstance(_fit(config, margin_usd, price, rules, brackets, held_usd), Size):
            return margin_usd
    return None


def stop_trigger(direction: Direction, entry: Decimal, pct: Decimal, rules: SymbolRules) -> Decimal:
    """The stop-loss price `pct` percent from the entry, on its losing side, rounded to the tick toward the entry.

    Never a larger loss than asked, except where less than one tick was asked for: then one tick. Where it would lie
    beyond the prices that the symbol takes, the last of those.
    """
    if direction == "long":
        return _within(min(ceil_to(entry * (1 - pct / _HUNDRED), rules.tick), _below(entry, rules.tick)), rules)
    return _within(max(floor_to(entry * (1 + pct / _HUNDRED), rules.tick), _above(entry, rules.tick)), rules)


def target_trigger(direction: Direction, entry: Decimal, pct: Decimal, rules: SymbolRules) -> Decimal:
    """The take-profit price `pct` percent from the entry, on its winning side, rounded to the tick toward the entry.

    Never a target later than asked, except where less than one tick was asked for: then one tick. Where it would lie
    beyond the prices that the symbol takes, the last of those.
    """
    if direction == "long":
        return _within(max(floor_to(entry * (1 + pct / _HUNDRED), rules.tick), _above(entry, rules.tick)), rules)
    return _within(min(ceil_to(entry * (1 - pct / _HUNDRED), rules.tick), _below(entry, rules.tick)), rules)


def can_be_protected(direction: Direction, price: Decimal, config: TradeConfig, rules: SymbolRules) -> bool:
    """Whether a position opened at this price has room for its stop-loss and take-profit among the symbol's prices."""
    sign, fits = (1 if direction == "long" else -1), [_within(price, rules) == price]
    if config.stop_loss_pct:
        fits.append(sign * (price - stop_trigger(direction, price, config.stop_loss_pct, rules)) > 0)
    if config.take_profit_pct:
        fits.append(sign * (target_trigger(direction, price, config.take_profit_pct, rules) - price) > 0)
    return all(fits) or not (config.stop_loss_pct or config.take_profit_pct)


def _within(trigger: Decimal, rules: SymbolRules) -> Decimal:
    """PRICE_FILTER, in which 0 means that there is no bound."""
    lowest = max(ceil_to(rules.price_min, rules.tick), rules.tick)
    highest = floor_to(rules.price_max, rules.tick) if rules.price_max else trigger
    return max(lowest, min(trigger, highest))


def _below(price: Decimal, tick: Decimal) -> Decimal:
    return ceil_to(price, tick) - tick


def _above(price: Decimal, tick: Decimal) -> Decimal:
    return floor_to(price, tick) + tick
