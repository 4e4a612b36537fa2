"""From a job and a view of the account to the steps that carry it out, or the reason why not. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from services.executor import sizing, why
from services.executor.orders import (
    AccountView,
    Direction,
    MarketOrder,
    PositionSide,
    Purpose,
    SetLeverage,
    Step,
    close,
    opening_side,
)
from shared.contracts import Action, CloseReason, Job, Signal
from shared.reasons import Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `skip` says why no entry is among the steps although the signal asked for one."""

    steps: tuple[Step, ...] = ()
    skip: why.Why | None = None


def plan(signal: Signal, job: Job, view: AccountView) -> Plan:
    """The steps of an execution."""
    if job.config.market_type != "futures":
        return Plan(skip=why.plainly(Reason.MARKET_NOT_SUPPORTED))
    if signal.action.is_entry:
        return _entry(signal, job, view)
    closing = [p for p in view.own if signal.action is Action.CLOSE_ALL or p.symbol == signal.symbol]
    if not closing:
        return Plan(skip=why.plainly(Reason.NOTHING_TO_CLOSE))
    return Plan(tuple(close(position, Purpose.EXIT, CloseReason.SIGNAL) for position in closing))


def _entry(signal: Signal, job: Job, view: AccountView) -> Plan:
    direction: Direction = "long" if signal.action is Action.BUY else "short"
    opposite = [p for p in view.own if p.symbol == signal.symbol and p.direction != direction]
    exits = tuple(close(position, Purpose.EXIT, CloseReason.SIGNAL) for position in opposite)
    if opposite and job.config.on_opposite != "reverse":
        if job.config.on_opposite == "close":
            return Plan(exits)
        return Plan(skip=why.plainly(Reason.OPPOSITE_POSITION_OPEN))
    entry = _open(job, view, direction, closing=len(opposite))
    if isinstance(entry, why.Why):
        return Plan(exits, entry)
    return Plan((*exits, *entry))


def _open(job: Job, view: AccountView, direction: Direction, closing: int) -> tuple[Step, ...] | why.Why:
    assert view.rules is not None, "an entry is planned with its symbol's rules"
    assert view.price is not None, "an entry is planned with its symbol's price"
    symbol, config = view.rules.symbol, job.config
    position_side: PositionSide = "BOTH" if not view.hedge else ("LONG" if direction == "long" else "SHORT")
    same = [p for p in view.own if p.symbol == symbol and p.direction == direction]
    if len(same) >= config.max_entries_per_symbol:
        return why.position_already_open(direction, symbol)
    if any(p.symbol == symbol for p in view.others) or _against_theirs(view, symbol, position_side, direction):
        return why.symbol_in_use(symbol)
    limit = config.max_concurrent_positions
    if limit is not None and len(view.own) - closing >= limit:
        return why.max_concurrent_positions(len(view.own) - closing, limit)
    if config.max_daily_loss_usd is not None and view.lost_today_usd >= config.max_daily_loss_usd:
        return why.daily_loss_limit(view.lost_today_usd, config.max_daily_loss_usd)
    amount = sizing.quantity(config, view.price, view.rules)
    if isinstance(amount, why.Why):
        return amount
    order = MarketOrder(Purpose.ENTRY, symbol, opening_side(direction), position_side, amount)
    return (order,) if view.leverage == config.leverage else (SetLeverage(symbol, config.leverage), order)


def held_by_hand(view: AccountView, symbol: str, position_side: PositionSide) -> Decimal:
    """Signed quantity of the symbol that the account holds beyond what our subscriptions opened."""
    ours = (p.signed for p in (*view.own, *view.others) if (p.symbol, p.position_side) == (symbol, position_side))
    return view.amount(symbol, position_side) - sum(ours, Decimal(0))


def _against_theirs(view: AccountView, symbol: str, position_side: PositionSide, direction: Direction) -> bool:
    """Whether the entry would reduce what the customer holds by hand: a one-way account nets, a hedged one cannot."""
    theirs = held_by_hand(view, symbol, position_side)
    return theirs < 0 if direction == "long" else theirs > 0
