"""One signal, one bot, its subscribers: which messages follow. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from shared import ids
from shared.contracts import (
    Environment,
    ExecutionFinished,
    ExecutionRequested,
    ExecutionStatus,
    Job,
    LeveragePolicy,
    MarginType,
    MarketType,
    Message,
    OnOpposite,
    Signal,
    SignalDispatched,
    TradeConfig,
    WhenSymbolHeld,
    WorkingType,
)
from shared.reasons import Reason

FRAME_MAX = 100  # jobs of one message


@dataclass(frozen=True, slots=True)
class Terms:
    """What a bot sets for all its subscribers. USD; percent as 2.5 for 2.5 %."""

    market_type: MarketType
    default_leverage: int
    default_margin_usd: Decimal
    default_stop_loss_pct: Decimal | None
    default_take_profit_pct: Decimal | None
    max_signal_age_seconds: int
    on_opposite: OnOpposite
    max_entries_per_symbol: int
    margin_type: MarginType | None
    protection_working_type: WorkingType
    price_protect: bool
    when_symbol_held: WhenSymbolHeld


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An active subscription and its exchange account. A custom value of null means the bot's default, 0 means 0."""

    subscription_id: UUID
    user_id: UUID
    exchange_account_id: UUID
    environment: Environment
    sealed_credentials: str
    last_sequence: int
    custom_leverage: int | None
    custom_margin_usd: Decimal | None
    custom_stop_loss_pct: Decimal | None
    custom_take_profit_pct: Decimal | None
    max_daily_loss_usd: Decimal | None
    max_concurrent_positions: int | None
    leverage_policy: LeveragePolicy


@dataclass(frozen=True, slots=True)
class Plan:
    """The messages to publish, and how many numbers they take from each exchange account's lane."""

    messages: tuple[Message, ...]
    jobs_by_account: Mapping[UUID, int]


def plan(signal: Signal, terms: Terms, subscribers: Sequence[Subscriber], now: datetime) -> Plan:
    """One job per subscriber, in the order given, in frames of at most FRAME_MAX, and the word that they are out."""
    expires_at = _expires_at(signal, terms)
    taken: Counter[UUID] = Counter()
    jobs = []
    for subscriber in subscribers:
        taken[subscriber.exchange_account_id] += 1
        sequence = subscriber.last_sequence + taken[subscriber.exchange_account_id]
        jobs.append(_job(signal, subscriber, _config(terms, subscriber), sequence, expires_at))
    return Plan((dispatched(signal, len(jobs), now), *_frames(signal, jobs, now)), taken)


def dispatched(signal: Signal, total: int, now: datetime, duplicate_of: UUID | None = None) -> SignalDispatched:
    """The word that a signal went to `total` subscribers."""
    return SignalDispatched(
        id=ids.derived(SignalDispatched.TYPE, signal.signal_id),
        occurred_at=now,
        signal_id=signal.signal_id,
        bot_id=signal.bot_id,
        total_subscribers=total,
        duplicate_of=duplicate_of,
        signal=signal,
    )


def duplicate(signal: Signal, first: UUID, subscribers: Sequence[Subscriber], now: datetime) -> Iterator[Message]:
    """What follows from a signal that repeats `first`: every subscriber's execution is on record as skipped."""
    yield dispatched(signal, len(subscribers), now, duplicate_of=first)
    for subscriber in subscribers:
        execution_id = ids.execution_id(signal.signal_id, subscriber.subscription_id)
        yield ExecutionFinished(
            id=ids.derived(ExecutionFinished.TYPE, execution_id),
            occurred_at=now,
            execution_id=execution_id,
            signal_id=signal.signal_id,
            bot_id=signal.bot_id,
            subscription_id=subscriber.subscription_id,
            user_id=subscriber.user_id,
            ticker=signal.symbol,
            action=signal.action,
            status=ExecutionStatus.SKIPPED,
            error_code=Reason.DUPLICATE,
            error_message=f"The same alert came before, as signal {first}.",
            error_message_pt=f"O mesmo alerta já tinha chegado, como o sinal {first}.",
            execution_time_ms=0,
        )


def _expires_at(signal: Signal, terms: Terms) -> datetime | None:
    if not signal.action.is_entry:
        return None
    # an alert cannot be younger than its arrival, whatever its own clock says
    made_at = min(signal.alert_time or signal.received_at, signal.received_at)
    return made_at + timedelta(seconds=terms.max_signal_age_seconds)


def _config(terms: Terms, subscriber: Subscriber) -> TradeConfig:
    return TradeConfig(
        market_type=terms.market_type,
        leverage=_or_default(subscriber.custom_leverage, terms.default_leverage),
        margin_usd=_or_default(subscriber.custom_margin_usd, terms.default_margin_usd),
        stop_loss_pct=_or_default(subscriber.custom_stop_loss_pct, terms.default_stop_loss_pct),
        take_profit_pct=_or_default(subscriber.custom_take_profit_pct, terms.default_take_profit_pct),
        max_daily_loss_usd=subscriber.max_daily_loss_usd,
        max_concurrent_positions=subscriber.max_concurrent_positions,
        on_opposite=terms.on_opposite,
        max_entries_per_symbol=terms.max_entries_per_symbol,
        leverage_policy=subscriber.leverage_policy,
        margin_type=terms.margin_type,
        protection_working_type=terms.protection_working_type,
        price_protect=terms.price_protect,
        when_symbol_held=terms.when_symbol_held,
    )


T = TypeVar("T")


def _or_default(custom: T | None, default: T) -> T:
    return default if custom is None else custom


def _job(
    signal: Signal, subscriber: Subscriber, config: TradeConfig, sequence: int, expires_at: datetime | None
) -> Job:
    return Job(
        execution_id=ids.execution_id(signal.signal_id, subscriber.subscription_id),
        subscription_id=subscriber.subscription_id,
        user_id=subscriber.user_id,
        exchange_account_id=subscriber.exchange_account_id,
        environment=subscriber.environment,
        sealed_credentials=subscriber.sealed_credentials,
        sequence=sequence,
        config=config,
        expires_at=expires_at,
    )


def _frames(signal: Signal, jobs: Sequence[Job], now: datetime) -> Iterator[ExecutionRequested]:
    for start in range(0, len(jobs), FRAME_MAX):
        yield ExecutionRequested(
            id=ids.derived(ExecutionRequested.TYPE, signal.signal_id, start),
            occurred_at=now,
            signal=signal,
            jobs=tuple(jobs[start : start + FRAME_MAX]),
        )
