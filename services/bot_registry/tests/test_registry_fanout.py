"""What follows from a signal."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.bot_registry import fanout
from services.bot_registry.fanout import Subscriber, Terms
from shared import ids
from shared.contracts import (
    Action,
    ExecutionFinished,
    ExecutionRequested,
    ExecutionStatus,
    Job,
    Message,
    Signal,
    SignalDispatched,
    TradeConfig,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

SIGNAL = Signal(
    signal_id=ids.derived("a signal"),
    bot_id=ids.derived("a bot"),
    action=Action.BUY,
    ticker="BTCUSDT.P",
    symbol="BTCUSDT",
    price=Decimal("95234.50"),
    source_ip="52.89.214.238",
    received_at=NOW - timedelta(seconds=2),
    body_digest="d" * 64,
)

TERMS = Terms(
    market_type="futures",
    default_leverage=10,
    default_margin_usd=Decimal(100),
    default_stop_loss_pct=Decimal("2.5"),
    default_take_profit_pct=Decimal(5),
    max_signal_age_seconds=60,
    on_opposite="reverse",
    max_entries_per_symbol=1,
    margin_type=None,
    protection_working_type="mark_price",
    price_protect=False,
    when_symbol_held="share",
)


def a_subscriber(number: int, account: int | None = None, last_sequence: int = 0) -> Subscriber:
    return Subscriber(
        subscription_id=ids.derived("subscription", number),
        user_id=ids.derived("user", number),
        exchange_account_id=ids.derived("account", number if account is None else account),
        environment="paper",
        sealed_credentials=f"box {number}",
        last_sequence=last_sequence,
        custom_leverage=None,
        custom_margin_usd=None,
        custom_stop_loss_pct=None,
        custom_take_profit_pct=None,
        max_daily_loss_usd=None,
        max_concurrent_positions=None,
        leverage_policy="reject",
    )


@st.composite
def some_subscribers(draw: st.DrawFn) -> list[Subscriber]:
    """Up to some hundreds, some of them on shared accounts whose lanes have begun."""
    accounts = draw(st.lists(st.integers(0, 20), max_size=350))
    began = draw(st.lists(st.integers(0, 10**9), min_size=21, max_size=21))
    return [a_subscriber(number, account, began[account]) for number, account in enumerate(accounts)]


def jobs_of(messages: Sequence[Message]) -> list[Job]:
    return [job for message in messages if isinstance(message, ExecutionRequested) for job in message.jobs]


def job_of(subscriber: Subscriber, signal: Signal = SIGNAL, terms: Terms = TERMS) -> Job:
    (job,) = jobs_of(fanout.plan(signal, terms, [subscriber], NOW).messages)
    return job


@given(some_subscribers())
def test_every_subscriber_gets_exactly_one_job(subscribers: list[Subscriber]) -> None:
    jobs = jobs_of(fanout.plan(SIGNAL, TERMS, subscribers, NOW).messages)
    assert [job.subscription_id for job in jobs] == [subscriber.subscription_id for subscriber in subscribers]
    for job in jobs:
        assert job.execution_id == ids.execution_id(SIGNAL.signal_id, job.subscription_id)


@given(some_subscribers())
def test_the_numbers_of_a_lane_go_on_without_a_gap(subscribers: list[Subscriber]) -> None:
    plan = fanout.plan(SIGNAL, TERMS, subscribers, NOW)
    lanes: defaultdict[UUID, list[int]] = defaultdict(list)
    for job in jobs_of(plan.messages):
        lanes[job.exchange_account_id].append(job.sequence)
    last = {subscriber.exchange_account_id: subscriber.last_sequence for subscriber in subscribers}
    for account, numbers in lanes.items():
        assert numbers == list(range(last[account] + 1, last[account] + 1 + plan.jobs_by_account[account]))
    assert lanes.keys() == plan.jobs_by_account.keys()


@given(some_subscribers())
def test_frames_hold_a_hundred_jobs_at_most_and_none_is_empty(subscribers: list[Subscriber]) -> None:
    messages = fanout.plan(SIGNAL, TERMS, subscribers, NOW).messages
    sizes = [len(message.jobs) for message in messages if isinstance(message, ExecutionRequested)]
    assert all(0 < size <= 100 for size in sizes)
    assert len(sizes) == -(-len(subscribers) // 100)


@given(some_subscribers())
def test_planning_again_gives_the_same_messages_under_the_same_distinct_ids(subscribers: list[Subscriber]) -> None:
    messages = fanout.plan(SIGNAL, TERMS, subscribers, NOW).messages
    assert messages == fanout.plan(SIGNAL, TERMS, subscribers, NOW).messages
    assert len({message.id for message in messages}) == len(messages)


@given(some_subscribers())
def test_one_message_says_how_many_subscribers_there_are(subscribers: list[Subscriber]) -> None:
    messages = fanout.plan(SIGNAL, TERMS, subscribers, NOW).messages
    (said,) = [message for message in messages if isinstance(message, SignalDispatched)]
    assert (said.total_subscribers, said.duplicate_of) == (len(subscribers), None)


def test_what_a_customer_leaves_open_is_the_bots_default() -> None:
    config = job_of(a_subscriber(1)).config
    assert (config.leverage, config.margin_usd) == (10, Decimal(100))
    assert (config.stop_loss_pct, config.take_profit_pct) == (Decimal("2.5"), Decimal(5))
    assert (config.max_daily_loss_usd, config.max_concurrent_positions) == (None, None)


def test_what_a_customer_sets_counts() -> None:
    subscriber = replace(
        a_subscriber(1),
        custom_leverage=15,
        custom_margin_usd=Decimal(200),
        custom_stop_loss_pct=Decimal("1.5"),
        custom_take_profit_pct=Decimal(8),
        max_daily_loss_usd=Decimal(500),
        max_concurrent_positions=3,
    )
    config = job_of(subscriber).config
    assert (config.leverage, config.margin_usd) == (15, Decimal(200))
    assert (config.stop_loss_pct, config.take_profit_pct) == (Decimal("1.5"), Decimal(8))
    assert (config.max_daily_loss_usd, config.max_concurrent_positions) == (Decimal(500), 3)


def test_the_terms_of_trading_futures_reach_the_executor() -> None:
    terms = replace(
        TERMS,
        margin_type="isolated",
        protection_working_type="contract_price",
        price_protect=True,
        when_symbol_held="skip",
    )
    config = job_of(replace(a_subscriber(1), leverage_policy="clamp"), terms=terms).config
    assert (config.margin_type, config.leverage_policy, config.when_symbol_held) == ("isolated", "clamp", "skip")
    assert (config.protection_working_type, config.price_protect) == ("contract_price", True)


def test_a_job_of_before_those_terms_is_read_as_it_was_meant() -> None:
    new = {"margin_type", "protection_working_type", "price_protect", "when_symbol_held", "leverage_policy"}
    config = job_of(a_subscriber(1)).config
    assert TradeConfig.model_validate(config.model_dump(exclude=new)) == config


def test_zero_is_a_value_and_not_an_absence() -> None:
    zero = Decimal(0)
    subscriber = replace(
        a_subscriber(1),
        custom_margin_usd=zero,
        custom_stop_loss_pct=zero,
        custom_take_profit_pct=zero,
        max_daily_loss_usd=zero,
        max_concurrent_positions=0,
    )
    config = job_of(subscriber).config
    assert (config.margin_usd, config.stop_loss_pct, config.take_profit_pct) == (zero, zero, zero)
    assert (config.max_daily_loss_usd, config.max_concurrent_positions) == (zero, 0)


def test_an_entry_expires_by_the_alerts_own_time() -> None:
    signal = SIGNAL.model_copy(update={"alert_time": NOW - timedelta(seconds=30)})
    assert job_of(a_subscriber(1), signal).expires_at == NOW + timedelta(seconds=30)


def test_an_entry_without_a_time_expires_by_its_arrival() -> None:
    assert job_of(a_subscriber(1)).expires_at == SIGNAL.received_at + timedelta(seconds=60)


def test_an_alert_from_the_future_does_not_live_longer() -> None:
    signal = SIGNAL.model_copy(update={"alert_time": NOW + timedelta(days=1)})
    assert job_of(a_subscriber(1), signal).expires_at == SIGNAL.received_at + timedelta(seconds=60)


def test_an_exit_never_expires() -> None:
    for action in (Action.CLOSE, Action.CLOSE_ALL):
        assert job_of(a_subscriber(1), SIGNAL.model_copy(update={"action": action})).expires_at is None


def test_a_duplicate_puts_every_subscriber_on_record_as_skipped_and_asks_for_no_job() -> None:
    first = ids.derived("the first")
    said, *finished = fanout.duplicate(SIGNAL, first, [a_subscriber(1), a_subscriber(2)], NOW)
    assert isinstance(said, SignalDispatched)
    assert (said.total_subscribers, said.duplicate_of) == (2, first)
    for number, execution in enumerate(finished, 1):
        assert isinstance(execution, ExecutionFinished)
        subscription_id = a_subscriber(number).subscription_id
        assert execution.execution_id == ids.execution_id(SIGNAL.signal_id, subscription_id)
        assert (execution.status, execution.error_code) == (ExecutionStatus.SKIPPED, "duplicate")
        assert (execution.ticker, execution.action, execution.execution_time_ms) == ("BTCUSDT", "buy", 0)
    assert len({message.id for message in (said, *finished)}) == 3
