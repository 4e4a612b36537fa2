"""From a job and a view of the account to the steps that carry it out, or the reason why not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.executor import sizing, spending, why
from services.executor.orders import (
    TRAITS,
    AccountView,
    Direction,
    MarketOrder,
    Position,
    PositionSide,
    Purpose,
    SetLeverage,
    SetMarginType,
    Step,
    SymbolRules,
    leave,
    opening_side,
)
from services.executor.state import Failure, failed, skipped
from shared.contracts import Action, CloseReason, Job, Signal
from shared.reasons import Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `failure` says why not what the signal asked for: nothing to close, or no entry among the steps."""

    steps: tuple[Step, ...] = ()
    failure: Failure | None = None


def plan(signal: Signal, job: Job, view: AccountView) -> Plan:
    """The steps of an execution."""
    market = job.config.market_type
    shorting = signal.action is Action.SELL and not TRAITS[market].shorts
    if signal.action.is_entry and not shorting:
        return _entry(signal, job, view)
    closing = [p for p in view.own if signal.action is Action.CLOSE_ALL or p.symbol == signal.symbol]
    if not closing and shorting:
        return Plan(failure=skipped(why.nothing_to_sell(signal.symbol or "")))
    if not closing:
        return Plan(failure=skipped(why.plainly(Reason.NOTHING_TO_CLOSE)))
    return Plan(tuple(leave(market, position, Purpose.EXIT, CloseReason.SIGNAL) for position in closing))


def _entry(signal: Signal, job: Job, view: AccountView) -> Plan:
    direction: Direction = "long" if signal.action is Action.BUY else "short"
    opposite = [p for p in view.own if p.symbol == signal.symbol and p.direction != direction]
    market = job.config.market_type
    exits = tuple(leave(market, position, Purpose.EXIT, CloseReason.SIGNAL) for position in opposite)
    if opposite and job.config.on_opposite != "reverse":
        if job.config.on_opposite == "close":
            return Plan(exits)
        return Plan(failure=skipped(why.plainly(Reason.OPPOSITE_POSITION_OPEN)))
    against_it = _against_it(job, view, direction, opposite)
    if against_it is not None:
        return Plan(exits, skipped(against_it))
    entry = _open(job, view, direction, opposite)
    return Plan(exits, entry) if isinstance(entry, Failure) else Plan((*exits, *entry))


def _against_it(job: Job, view: AccountView, direction: Direction, closing: Sequence[Position]) -> why.Why | None:
    """The rule of the bot's, the customer's or ours that forbids an entry, if there is one."""
    assert view.rules is not None, "an entry is planned with its symbol's rules"
    symbol, config = view.rules.symbol, job.config
    same = [p for p in view.own if p.symbol == symbol and p.direction == direction]
    if len(same) >= config.max_entries_per_symbol:
        return why.position_already_open(direction, symbol)
    if TRAITS[config.market_type].nets and _in_use(job, view, direction):
        return why.symbol_in_use(symbol)
    open_then, limit = len(view.own) - len(closing), config.max_concurrent_positions
    if limit is not None and open_then >= limit:
        return why.max_concurrent_positions(open_then, limit)
    if config.max_daily_loss_usd is not None and view.lost_today_usd >= config.max_daily_loss_usd:
        return why.daily_loss_limit(view.lost_today_usd, config.max_daily_loss_usd)
    return None


def _in_use(job: Job, view: AccountView, direction: Direction) -> bool:
    """Whether another subscription holds the symbol, or the entry would reduce what the customer holds by hand."""
    assert view.rules is not None, "an entry is planned with its symbol's rules"
    theirs = held_by_hand(view, view.rules.symbol, _position_side(view, direction))
    if direction == "short":
        theirs = -theirs
    # a one-way account nets: an entry against what the customer holds would reduce it
    if any(p.symbol == view.rules.symbol for p in view.others) or theirs < 0:
        return True
    return bool(theirs) and job.config.when_symbol_held == "skip"


def _open(job: Job, view: AccountView, direction: Direction, closing: Sequence[Position]) -> tuple[Step, ...] | Failure:
    """The steps of an entry: margin type and leverage where they differ, then the order."""
    assert view.rules is not None, "an entry is planned with its symbol's rules"
    assert view.price is not None, "an entry is planned with its symbol's price"
    config, rules, position_side = job.config, view.rules, _position_side(view, direction)
    if not TRAITS[config.market_type].leveraged:
        return _buy(job, view, rules, view.price)
    closed = sum((p.signed for p in closing if p.position_side == position_side), Decimal(0))
    held_usd = abs(view.amount(rules.symbol, position_side) - closed) * view.price
    size = sizing.size(config, view.price, rules, view.brackets, held_usd)
    if isinstance(size, why.Why):
        return skipped(size) if size.reason is Reason.BELOW_MINIMUM else failed(size)
    if not sizing.can_be_protected(direction, view.price, config, rules):
        return failed(why.plainly(Reason.PROTECTION_IMPOSSIBLE))
    steps: list[Step] = []
    if config.margin_type not in (None, view.margin_type):
        assert config.margin_type is not None, "null leaves the account's alone"
        steps.append(SetMarginType(rules.symbol, config.margin_type))
    if view.leverage != size.leverage:
        steps.append(SetLeverage(rules.symbol, size.leverage))
    order = MarketOrder(Purpose.ENTRY, rules.symbol, opening_side(direction), position_side, size.quantity)
    return (*steps, order)


def _position_side(view: AccountView, direction: Direction) -> PositionSide:
    if not view.hedge:
        return "BOTH"
    return "LONG" if direction == "long" else "SHORT"


def _buy(job: Job, view: AccountView, rules: SymbolRules, price: Decimal) -> tuple[Step, ...] | Failure:
    """A spot entry: so much of the quote asset, if what it buys can be protected."""
    assert view.funds is not None, "a spot entry is planned with the account's funds"
    legs = sum(1 for pct in (job.config.stop_loss_pct, job.config.take_profit_pct) if pct)
    if legs and not rules.can_protect:
        return failed(why.no_protections(rules.symbol))
    standing = sum(len(p.protections) for p in (*view.own, *view.others) if p.symbol == rules.symbol)
    if legs and rules.protections_max is not None and standing + legs > rules.protections_max:
        return failed(why.too_many_protections(rules.symbol, rules.protections_max))
    bought = spending.buy(job.config, price, rules, view.funds.fee)
    if isinstance(bought, why.Why):
        return skipped(bought) if bought.reason is Reason.BELOW_MINIMUM else failed(bought)
    if not sizing.can_be_protected("long", price, job.config, rules):
        return failed(why.plainly(Reason.PROTECTION_IMPOSSIBLE))
    order = MarketOrder(
        Purpose.ENTRY, rules.symbol, "BUY", "BOTH", bought.quantity, spend=bought.spend, before=view.funds.base
    )
    return (order,)


def held_by_hand(view: AccountView, symbol: str, position_side: PositionSide) -> Decimal:
    """Signed quantity of the symbol that the account holds beyond what our subscriptions opened."""
    ours = (p.signed for p in (*view.own, *view.others) if (p.symbol, p.position_side) == (symbol, position_side))
    return view.amount(symbol, position_side) - sum(ours, Decimal(0))
