"""From facts to rows: what a batch of messages changes in the read model.

Order between messages is not promised and each may come more than once, so every fact only fills in what is its own
to say: a signal may be counted before it is received, a position closed before it is opened. Such partial rows exist,
and readers do not see them until the missing fact comes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from shared.contracts import (
    AttentionEnded,
    AttentionNeeded,
    EntriesAllowed,
    EntriesStopped,
    ExecutionFinished,
    ExecutionStatus,
    Message,
    PositionClosed,
    PositionOpened,
    SignalDispatched,
    SignalReceived,
    SignalSettled,
    SubscriptionChanged,
)
from shared.contracts import Signal as ReceivedSignal
from shared.ids import derived

RECORDED = (
    "execution_id",
    "signal_id",
    "bot_id",
    "subscription_id",
    "user_id",
    "ticker",
    "action",
    "status",
    "exchange_order_id",
    "executed_price",
    "executed_quantity",
    "stop_loss_order_id",
    "take_profit_order_id",
    "stop_loss_price",
    "take_profit_price",
    "error_code",
    "exchange_code",
    "error_message",
    "execution_time_ms",
    "naked_ms",
    "recorded_at",
)
"""The fields of every record."""
RECORDED_WHERE_SET = ("error_message_pt",)
"""Fields that came later: in a record only where they have a value, so that what was sealed before stays as it was."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal and its counts. Not received yet: no `received_at`; not dispatched yet: no `total_subscribers`."""

    signal_id: UUID
    bot_id: UUID
    ticker: str | None = None
    action: str | None = None
    source_ip: str | None = None
    received_at: datetime | None = None
    total_subscribers: int | None = None
    successful_executions: int = 0
    failed_executions: int = 0
    skipped_executions: int = 0
    needing_attention: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether every execution that it was dispatched to is counted."""
        counted = self.successful_executions + self.failed_executions + self.skipped_executions
        return self.total_subscribers is not None and counted >= self.total_subscribers


@dataclass(frozen=True, slots=True)
class Position:
    """A position. Opening not heard of yet: no `opened_at`; open: no `closed_at`. Amounts as in the messages."""

    position_id: UUID
    subscription_id: UUID
    user_id: UUID
    ticker: str
    bot_id: UUID | None = None
    side: str | None = None
    quantity: Decimal | None = None
    entry_price: Decimal | None = None
    stop_loss_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    close_reason: str | None = None
    exit_price: Decimal | None = None
    realized_pnl_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who follows which bot. Deletion is final, so that it may overtake what came before it."""

    subscription_id: UUID
    bot_id: UUID
    user_id: UUID
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Where no new entry is made. Stop not heard of yet: no `stopped_at`; still in force: no `allowed_at`."""

    stop_id: UUID
    environment: str | None = None
    market_type: str | None = None
    exchange_code: int | None = None
    message: str | None = None
    stopped_at: datetime | None = None
    allowed_at: datetime | None = None
    allowed_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """An execution that waits for certainty. Beginning not heard of yet: no `since`; still waiting: no `ended_at`."""

    attention_id: UUID
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    action: str | None = None
    symbol: str | None = None
    doubt: str | None = None
    client_order_id: str | None = None
    since: datetime | None = None
    ended_at: datetime | None = None
    ended_by: UUID | None = None
    outcome: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a person may still help."""
        return self.since is not None and self.ended_at is None


@dataclass(frozen=True, slots=True)
class Touched:
    """The ids that a batch speaks of."""

    executions: set[UUID] = field(default_factory=set)
    signals: set[UUID] = field(default_factory=set)
    positions: set[UUID] = field(default_factory=set)
    subscriptions: set[UUID] = field(default_factory=set)
    stops: set[UUID] = field(default_factory=set)
    attentions: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return any(getattr(self, kind.name) for kind in fields(self))


def touched(messages: Iterable[Message]) -> Touched:
    """The ids that `messages` speak of; empty when none of them concerns the ledger."""
    ids = Touched()
    for message in messages:
        match message:
            case SignalReceived():
                ids.signals.add(message.signal.signal_id)
            case SignalDispatched():
                ids.signals.add(message.signal_id)
            case ExecutionFinished():
                ids.executions.add(message.execution_id)
                ids.signals.add(message.signal_id)
            case PositionOpened() | PositionClosed():
                ids.positions.add(message.position_id)
            case SubscriptionChanged():
                ids.subscriptions.add(message.subscription_id)
            case EntriesStopped() | EntriesAllowed():
                ids.stops.add(message.stop_id)
            case AttentionNeeded() | AttentionEnded():
                ids.attentions.add(message.attention_id)
                ids.signals.add(message.signal_id)
    return ids


@dataclass(slots=True)
class ReadModel:
    """The rows that a batch touches, by id, as they were before it; `project` returns those that it changes."""

    sealed: set[UUID] = field(default_factory=set)
    executions: list[ExecutionFinished] = field(default_factory=list)
    signals: dict[UUID, Signal] = field(default_factory=dict)
    positions: dict[UUID, Position] = field(default_factory=dict)
    subscriptions: dict[UUID, Subscription] = field(default_factory=dict)
    stops: dict[UUID, Stop] = field(default_factory=dict)
    attentions: dict[UUID, Attention] = field(default_factory=dict)


def project(before: ReadModel, messages: Sequence[Message]) -> ReadModel:
    """What is other after `messages`: executions that were not `sealed` before, and the rows that changed."""
    finished = {m.execution_id: m for m in messages if isinstance(m, ExecutionFinished)}
    new = [execution for id_, execution in finished.items() if id_ not in before.sealed]
    after = ReadModel(
        executions=new,
        signals=dict(before.signals),
        positions=dict(before.positions),
        subscriptions=dict(before.subscriptions),
        stops=dict(before.stops),
        attentions=dict(before.attentions),
    )
    for message in messages:
        _apply(after, message)
    _count(after, new)
    after.attentions = {k: v for k, v in after.attentions.items() if v != before.attentions.get(k)}
    _count_attentions(after, before)
    after.signals = {k: v for k, v in after.signals.items() if v != before.signals.get(k)}
    after.positions = {k: v for k, v in after.positions.items() if v != before.positions.get(k)}
    after.subscriptions = {k: v for k, v in after.subscriptions.items() if v != before.subscriptions.get(k)}
    after.stops = {k: v for k, v in after.stops.items() if v != before.stops.get(k)}
    return after


def settled(before: ReadModel, after: ReadModel, messages: Sequence[Message], now: datetime) -> list[SignalSettled]:
    """The signals that `after` settles, and those settled before whose sender asks again by telling them again.

    Named after the signal, as it settles once.
    """
    told_again = {m.signal.signal_id for m in messages if isinstance(m, SignalReceived)}
    asked = [s for s in before.signals.values() if s.signal_id in told_again and s.is_settled and s.received_at]
    new = [s for id_, s in after.signals.items() if s.is_settled and not _is_settled(before.signals.get(id_))]
    return [
        SignalSettled(
            id=derived(SignalSettled.TYPE, signal.signal_id),
            occurred_at=now,
            signal_id=signal.signal_id,
            bot_id=signal.bot_id,
            total_subscribers=signal.total_subscribers or 0,
            successful_executions=signal.successful_executions,
            failed_executions=signal.failed_executions,
            skipped_executions=signal.skipped_executions,
        )
        for signal in (*new, *asked)
    ]


def _is_settled(signal: Signal | None) -> bool:
    return signal is not None and signal.is_settled


def undispatched(before: ReadModel, after: ReadModel, messages: Sequence[Message]) -> list[SignalReceived]:
    """The signals heard of for the first time that the dispatcher may not have heard of."""
    new = {
        id_
        for id_, signal in after.signals.items()
        if signal.total_subscribers is None and signal.received_at and not _is_received(before.signals.get(id_))
    }
    return list({m.id: m for m in messages if isinstance(m, SignalReceived) and m.signal.signal_id in new}.values())


def newly_dispatched(before: ReadModel, after: ReadModel) -> list[UUID]:
    """The signals heard of before that are now known to be dispatched. A signal's id is its message's, too."""
    return [
        id_
        for id_, signal in after.signals.items()
        if signal.total_subscribers is not None
        and (old := before.signals.get(id_)) is not None
        and old.total_subscribers is None
    ]


def _is_received(signal: Signal | None) -> bool:
    return signal is not None and signal.received_at is not None


def body(execution: ExecutionFinished, recorded_at: datetime) -> dict[str, object]:
    """The fields of a record, by name."""
    said = execution.model_dump(include={*RECORDED, *RECORDED_WHERE_SET})
    return said | {"status": str(execution.status), "recorded_at": recorded_at}


def sealed(body: Mapping[str, object]) -> dict[str, object]:
    """What of a record's fields is under its seal."""
    return {name: value for name, value in body.items() if value is not None or name not in RECORDED_WHERE_SET}


def _apply(model: ReadModel, message: Message) -> None:
    match message:
        case SignalReceived():
            _receive(model.signals, message.signal)
        case SignalDispatched():
            signal = model.signals.get(message.signal_id) or Signal(message.signal_id, message.bot_id)
            if signal.total_subscribers is None:
                signal = replace(signal, total_subscribers=message.total_subscribers)
            model.signals[signal.signal_id] = signal
            if message.signal is not None:
                _receive(model.signals, message.signal)
        case PositionOpened():
            _open(model.positions, message)
        case PositionClosed():
            _close(model.positions, message)
        case SubscriptionChanged():
            known = model.subscriptions.get(message.subscription_id)
            is_deleted = message.status == "deleted" or (known is not None and known.is_deleted)
            model.subscriptions[message.subscription_id] = Subscription(
                message.subscription_id, message.bot_id, message.user_id, is_deleted
            )
        case EntriesStopped() | EntriesAllowed():
            stop = model.stops.get(message.stop_id) or Stop(message.stop_id)
            model.stops[message.stop_id] = _stopped(stop, message)
        case AttentionNeeded() | AttentionEnded():
            model.attentions[message.attention_id] = _attended(model.attentions.get(message.attention_id), message)


def _receive(signals: dict[UUID, Signal], received: ReceivedSignal) -> None:
    signal = signals.get(received.signal_id) or Signal(received.signal_id, received.bot_id)
    if signal.received_at is None:
        signals[received.signal_id] = replace(
            signal,
            ticker=received.ticker,
            action=str(received.action),
            source_ip=received.source_ip,
            received_at=received.received_at,
        )


def _open(positions: dict[UUID, Position], message: PositionOpened) -> None:
    position = positions.get(message.position_id) or _unknown(message)
    if position.opened_at is None:
        positions[message.position_id] = replace(
            position,
            bot_id=message.bot_id,
            side=message.side,
            quantity=message.quantity,
            entry_price=message.entry_price,
            stop_loss_price=message.stop_loss_price,
            take_profit_price=message.take_profit_price,
            opened_at=message.occurred_at,
        )


def _close(positions: dict[UUID, Position], message: PositionClosed) -> None:
    position = positions.get(message.position_id) or _unknown(message)
    if position.closed_at is None:
        positions[message.position_id] = replace(
            position,
            closed_at=message.occurred_at,
            close_reason=str(message.close_reason),
            exit_price=message.exit_price,
            realized_pnl_usd=message.realized_pnl_usd,
        )


def _stopped(stop: Stop, message: EntriesStopped | EntriesAllowed) -> Stop:
    if isinstance(message, EntriesAllowed):
        return replace(stop, allowed_at=message.occurred_at, allowed_by=message.allowed_by)
    return replace(
        stop,
        environment=message.environment,
        market_type=message.market_type,
        exchange_code=message.exchange_code,
        message=message.message,
        stopped_at=message.occurred_at,
    )


def _attended(known: Attention | None, message: AttentionNeeded | AttentionEnded) -> Attention:
    attention = known or Attention(
        message.attention_id,
        message.execution_id,
        message.signal_id,
        message.bot_id,
        message.subscription_id,
        message.user_id,
    )
    if isinstance(message, AttentionEnded):
        return replace(
            attention,
            ended_at=attention.ended_at or message.occurred_at,
            ended_by=message.ended_by,
            outcome=message.verdict and str(message.verdict),
        )
    return replace(
        attention,
        action=message.action,
        symbol=message.symbol,
        doubt=str(message.doubt),
        client_order_id=message.client_order_id,
        since=attention.since or message.occurred_at,
    )


def _count_attentions(after: ReadModel, before: ReadModel) -> None:
    for id_, attention in after.attentions.items():
        old = before.attentions.get(id_)
        more = attention.is_waiting - (old is not None and old.is_waiting)
        signal = after.signals.get(attention.signal_id) or Signal(attention.signal_id, attention.bot_id)
        after.signals[attention.signal_id] = replace(signal, needing_attention=signal.needing_attention + more)


def _unknown(message: PositionOpened | PositionClosed) -> Position:
    return Position(message.position_id, message.subscription_id, message.user_id, message.ticker)


def _count(model: ReadModel, executions: Sequence[ExecutionFinished]) -> None:
    counts = Counter((execution.signal_id, execution.status) for execution in executions)
    bots = {execution.signal_id: execution.bot_id for execution in executions}
    for signal_id, bot_id in bots.items():
        signal = model.signals.get(signal_id) or Signal(signal_id, bot_id)
        model.signals[signal_id] = replace(
            signal,
            successful_executions=signal.successful_executions + counts[signal_id, ExecutionStatus.SUCCESS],
            failed_executions=signal.failed_executions + counts[signal_id, ExecutionStatus.FAILED],
            skipped_executions=signal.skipped_executions + counts[signal_id, ExecutionStatus.SKIPPED],
        )
