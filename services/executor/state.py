"""The machine's vocabulary: where an execution stands, what was observed, what to do next, what is to be told.

All values are frozen; the machine turns them into each other and the runner carries them out.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from services.executor.orders import (
    TRAITS,
    AccountView,
    Balance,
    CancelProtection,
    Direction,
    Intent,
    MarketOrder,
    Oco,
    Order,
    Position,
    Protection,
    ProtectionReason,
    Release,
    SetLeverage,
    SetMarginType,
    Settle,
    Step,
    SymbolRules,
)
from services.executor.why import Why
from shared.contracts import Action, CloseReason, Doubt, ExecutionStatus, Job, Signal, Verdict
from shared.money import floor_to
from shared.reasons import Reason


@dataclass(frozen=True, slots=True)
class Work:
    """What an execution is about; it never changes."""

    signal: Signal
    job: Job

    @property
    def opens(self) -> bool:
        """Whether it asks for a position: what cannot be sold short is closed by a `sell`."""
        return self.signal.action.is_entry and (
            self.signal.action is Action.BUY or TRAITS[self.job.config.market_type].shorts
        )


class Phase(StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"  # nothing was done, the lane may not be ours yet
    PREPARING = "preparing"  # reading the account; nothing was asked of the exchange that changes anything
    ACTING = "acting"  # the first step's request may be in the world
    VERIFYING = "verifying"  # asking what became of it
    PRICING = "pricing"  # filled; asking at what price
    NEEDS_ATTENTION = "needs_attention"  # asked in vain for long; a person may know more, we go on asking
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution did not end as asked, or was not tried. Flat, because rows of older releases are."""

    status: ExecutionStatus
    code: str
    message: str
    exchange_code: int | None = None
    message_pt: str | None = None


def failed(why: Why) -> Failure:
    """We tried, and it did not end as asked."""
    return Failure(ExecutionStatus.FAILED, why.reason, why.words.en, why.exchange_code, why.words.pt)


def skipped(why: Why) -> Failure:
    """We chose not to trade."""
    return replace(failed(why), status=ExecutionStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Placed:
    """A protection that the exchange acknowledged."""

    protection: Protection
    order_id: str


@dataclass(frozen=True, slots=True)
class Trade:
    """What came of the execution so far. Prices in USD, quantities in the base asset."""

    rules: SymbolRules | None = None
    reference_price: Decimal | None = None
    beside_theirs: bool = False
    held_before: Decimal = Decimal(0)
    position_id: UUID | None = None
    entry: MarketOrder | None = None
    order: Order | None = None
    exit_orders: tuple[Order, ...] = ()
    price: Decimal | None = None
    filled_at_ms: int | None = None
    stop: Placed | None = None
    target: Placed | None = None
    opened: bool = False
    naked_ms: int | None = None
    failure: Failure | None = None

    @property
    def bought(self) -> Decimal:
        """What the entry bought, or sold short: without the fee taken of it, rounded down to what can be closed."""
        assert self.order is not None, "there is a quantity once an entry has filled"
        if not self.order.fee:
            return self.order.executed_quantity
        assert self.rules is not None, "an entry is planned with its symbol's rules"
        return floor_to(self.order.executed_quantity - self.order.fee, self.rules.quantity_step)


def direction_of(entry: MarketOrder) -> Direction:
    """The direction of the position that an entry opens."""
    return "long" if entry.side == "BUY" else "short"


def position_of(trade: Trade) -> Position:
    """The position that the entry opened, protected as far as it is."""
    entry, order, stop, target = trade.entry, trade.order, trade.stop, trade.target
    assert entry is not None, "there is a position once an entry has filled"
    assert order is not None, "there is a position once an entry has filled"
    assert trade.position_id is not None, "there is a position once an entry has filled"
    return Position(
        id=trade.position_id,
        symbol=entry.symbol,
        direction=direction_of(entry),
        position_side=entry.position_side,
        quantity=trade.bought,
        entry_price=trade.price,
        entry_order_id=order.order_id,
        opened_at_ms=order.time_ms,
        stop_client_id=stop.protection.client_id if stop else None,
        stop_order_id=stop.order_id if stop else None,
        stop_price=stop.protection.trigger if stop else None,
        target_client_id=target.protection.client_id if target else None,
        target_order_id=target.order_id if target else None,
        target_price=target.protection.trigger if target else None,
    )


@dataclass(frozen=True, slots=True)
class Attention:
    """That a step could not be resolved within its bound, and the order in question; by whose word it ended."""

    since_ms: int
    doubt: Doubt
    symbol: str | None
    client_id: str | None
    ended_by: UUID | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What an administrator says of an execution that needs attention."""

    verdict: Verdict
    by: UUID


@dataclass(frozen=True, slots=True)
class State:
    """Everything the machine remembers of an execution; this is what the database keeps.

    `attempt` counts the market orders given a name, `tries` the requests of the present step that came to nothing,
    `absent` how often in a row the exchange did not know the intent when asked late enough, `seen` the order as the
    exchange told of it, while it may fill further or its price is being asked for, `cause` what last went wrong with a
    request that was to change something, `planned_again` whether what was planned by turned out to be no longer so,
    `told` whether its end has been told, which it is once,
    `attention` that the present step waits for certainty, `said` a person's word about it that was not heeded yet.
    """

    phase: Phase = Phase.QUEUED
    steps: tuple[Step, ...] = ()
    intent: Intent | None = None
    attempt: int = 0
    tries: int = 0
    absent: int = 0
    seen: Order | None = None
    cause: Why | None = None
    planned_again: bool = False
    told: bool = False
    attention: Attention | None = None
    said: Said | None = None
    trade: Trade = field(default_factory=Trade)

    def with_trade(self, **changes: object) -> "State":
        """The same state with a changed trade."""
        return replace(self, trade=replace(self.trade, **changes))  # type: ignore[arg-type]  # names checked by dataclasses


# What was observed.


@dataclass(frozen=True, slots=True)
class Woke:
    """The row was claimed: new, its alarm rang, or whoever held it is gone."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """The installation does not trade (any more) where the execution was begun."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The account was read. `overtaken`: we come late, and a later signal for the same was carried out before."""

    view: AccountView
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The exchange told of the market order, in its answer or when asked."""

    order: Order


@dataclass(frozen=True, slots=True)
class Absent:
    """The exchange does not know the order. `asked_ms` is its own time just before the question was put (P3)."""

    asked_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The protection is at the exchange, or was and has triggered. `target_order_id`: the second leg's of an OCO."""

    order_id: str
    target_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotStanding:
    """The protection is not among the exchange's open or past ones. `asked_ms` as in Absent."""

    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """What became of a position's protections when they were cancelled: their orders, null where none is known.

    `free` is what may be sold of the base asset, rounded down to the step; `held` its balance, and when it was read.
    `asked_ms` is the exchange's time just before.
    """

    legs: tuple[tuple[CloseReason, Order | None], ...]
    free: Decimal
    held: Balance
    asked_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """A step without a result of its own is done."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a position was closed and what it earned in USD, commission taken off; null where it could not be read."""

    reason: CloseReason
    exit_price: Decimal | None
    realized_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class StillOpen:
    """The exchange holds the position after all."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange said no before doing anything."""

    why: Why

    @property
    def code(self) -> int | None:
        """Binance's."""
        return self.why.exchange_code

    @property
    def tells_of_change(self) -> bool:
        """Whether what was planned by, position mode or leverage brackets, seems to be no longer so."""
        return self.why.reason in (Reason.ACCOUNT_MODE, Reason.LEVERAGE_NOT_ALLOWED, Reason.POSITION_TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Through:
    """An order list was refused because the price is through one of its legs: which, and how it was refused."""

    reason: ProtectionReason
    refusal: Refused


@dataclass(frozen=True, slots=True)
class Unsent:
    """Certainly not carried out (not sent, throttled, 503 'failed', clock off): may be tried again after `wait_ms`.

    What the exchange or its limits make us wait for uses up none of the tries. `banned`: not even an order may go.
    """

    why: Why
    wait_ms: int = 0
    banned: bool = False


def asked_to_wait_ms(seen: object) -> int:
    """How long the exchange or its limits make us wait, 0 where they do not."""
    return seen.wait_ms if isinstance(seen, Unsent) else 0


@dataclass(frozen=True, slots=True)
class Uncertain:
    """No word on whether it was carried out. Everything unrecognised is this (P4)."""

    why: Why


@dataclass(frozen=True, slots=True)
class Stopped:
    """Entries are stopped, so this one was not sent."""

    why: Why


Observation = (
    Woke
    | Unserved
    | Prepared
    | Seen
    | Absent
    | Standing
    | NotStanding
    | Released
    | Done
    | Settled
    | StillOpen
    | Refused
    | Stopped
    | Through
    | Unsent
    | Uncertain
)

# What to do next. `changes_the_world` effects are performed only after the state that names them is committed (P1).


@dataclass(frozen=True, slots=True)
class Prepare:
    """Read what `plan` must know. `afresh`: without what is remembered of the account."""

    afresh: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Send a market order."""

    order: MarketOrder
    intent: Intent


@dataclass(frozen=True, slots=True)
class Moved:
    """Whether what the account holds moved by an order: `held_before` on its side just before it, signed.

    `at_least` in the base asset. `since_ms`: when that was read, where other orders may have moved it too.
    """

    order: MarketOrder
    held_before: Decimal
    at_least: Decimal
    since_ms: int | None = None

    def by(self, held: Decimal) -> bool:
        """Whether `held` tells that the order filled, whatever queries of the order say."""
        more = held - self.held_before
        return (more if self.order.side == "BUY" else -more) >= self.at_least


@dataclass(frozen=True, slots=True)
class Find:
    """Ask what became of a market order. One that is not found counts as absent only if nothing has `moved` by it.

    `pricing`: it is known to have filled, only its price is asked for.
    """

    symbol: str
    client_id: str
    moved: Moved | None = None
    pricing: bool = False


@dataclass(frozen=True, slots=True)
class Protect:
    """Send a stop-loss or take-profit, or both as one order list."""

    protection: Protection | Oco
    intent: Intent


@dataclass(frozen=True, slots=True)
class FindProtection:
    """Ask whether a protection stands. `target_client_id`: the second leg's of an OCO."""

    symbol: str
    client_id: str
    target_client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """Perform a step that may be repeated without harm."""

    step: SetMarginType | SetLeverage | CancelProtection | Release | Settle


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let go of the row until `until_ms`."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more; the lane is free."""


Effect = Prepare | Place | Find | Protect | FindProtection | Do | Sleep | End


# What is to be told, stored with the state in one transaction.


@dataclass(frozen=True, slots=True)
class Opened:
    """A position of ours is open, protected as far as it goes."""

    position: Position


@dataclass(frozen=True, slots=True)
class Protected:
    """A position has its lost protection again. Nobody else need know."""

    position: Position


@dataclass(frozen=True, slots=True)
class Closed:
    """A position of ours is gone."""

    position: Position
    settled: Settled


@dataclass(frozen=True, slots=True)
class AttentionBegan:
    """The execution cannot be resolved within its bound; a person may know more."""

    attention: Attention


@dataclass(frozen=True, slots=True)
class AttentionOver:
    """It goes on."""

    attention: Attention


@dataclass(frozen=True, slots=True)
class Finished:
    """The execution has ended."""

    trade: Trade


Told = Opened | Closed | AttentionBegan | AttentionOver | Finished
Fact = Told | Protected


@dataclass(frozen=True, slots=True)
class Decision:
    """The machine's answer to an observation."""

    state: State
    effect: Effect
    facts: tuple[Fact, ...] = ()

    @property
    def must_be_stored(self) -> bool:
        """Whether the state must be committed before anything else happens."""
        releases = isinstance(self.effect, Do) and isinstance(self.effect.step, Release)
        return bool(self.facts) or releases or isinstance(self.effect, Place | Protect | Sleep | End)


@dataclass(frozen=True, slots=True)
class StepDone:
    """The first step is over; `state.steps` are those that follow."""

    state: State
    facts: tuple[Fact, ...] = ()
