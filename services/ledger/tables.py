"""The tables of schema `ledger`. `records` takes no UPDATE and no DELETE: triggers in the migration refuse them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text, Uuid

from shared.db.outbox import outbox_table
from shared.db.types import Money, UtcTime

metadata = MetaData(schema="ledger")
outbox = outbox_table(metadata)


def _change() -> Column[int]:
    # the number of the row's last change: what the live stream follows
    return Column("change", BigInteger, nullable=False, index=True)


heads = Table(
    "heads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1; locking it makes one writer
    Column("position", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("change", BigInteger, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("execution_id", Uuid, nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("execution_id", Uuid, primary_key=True),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("signal_id", Uuid, nullable=False),
    Column("bot_id", Uuid, nullable=False),
    Column("subscription_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("ticker", String),
    Column("action", String, nullable=False),
    Column("status", String, nullable=False),
    Column("exchange_order_id", String),
    Column("executed_price", Money),
    Column("executed_quantity", Money),
    Column("stop_loss_order_id", String),
    Column("take_profit_order_id", String),
    Column("stop_loss_price", Money),
    Column("take_profit_price", Money),
    Column("error_code", String),
    Column("exchange_code", Integer),
    Column("error_message", String),
    Column("error_message_pt", String),
    Column("execution_time_ms", BigInteger, nullable=False),
    Column("naked_ms", BigInteger),
    Column("recorded_at", UtcTime, nullable=False),
    _change(),
    Index("executions_by_user", "user_id", "position"),
    Index("executions_by_signal", "signal_id", "position"),
    Index("executions_by_subscription", "subscription_id", "position"),
)

signals = Table(
    "signals",
    metadata,
    Column("signal_id", Uuid, primary_key=True),
    Column("bot_id", Uuid, nullable=False),
    Column("ticker", String),
    Column("action", String),
    Column("source_ip", String),
    Column("received_at", UtcTime),
    Column("total_subscribers", Integer),
    Column("successful_executions", Integer, nullable=False),
    Column("failed_executions", Integer, nullable=False),
    Column("skipped_executions", Integer, nullable=False),
    Column("needing_attention", Integer, nullable=False, server_default="0"),
    _change(),
    Index("signals_by_time", "received_at", "signal_id"),
    Index("signals_by_bot", "bot_id", "received_at", "signal_id"),
)

positions = Table(
    "positions",
    metadata,
    Column("position_id", Uuid, primary_key=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("ticker", String, nullable=False),
    Column("bot_id", Uuid),
    Column("side", String),
    Column("quantity", Money),
    Column("entry_price", Money),
    Column("stop_loss_price", Money),
    Column("take_profit_price", Money),
    Column("opened_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("close_reason", String),
    Column("exit_price", Money),
    Column("realized_pnl_usd", Money),
    _change(),
    Index("positions_by_time", "opened_at", "position_id"),
    Index("positions_by_user", "user_id", "opened_at", "position_id"),
    Index("positions_by_subscription", "subscription_id", "opened_at", "position_id"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", Uuid, primary_key=True),
    Column("bot_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Index("subscriptions_by_bot", "bot_id", "user_id"),
)

attentions = Table(
    "attentions",
    metadata,
    Column("attention_id", Uuid, primary_key=True),
    Column("execution_id", Uuid, nullable=False),
    Column("signal_id", Uuid, nullable=False),
    Column("bot_id", Uuid, nullable=False),
    Column("subscription_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("action", String),
    Column("symbol", String),
    Column("doubt", String),
    Column("client_order_id", String),
    Column("since", UtcTime),
    Column("ended_at", UtcTime),
    Column("ended_by", Uuid),
    Column("outcome", String),
    _change(),
    Index("attentions_by_time", "since", "attention_id"),
    Index("attentions_by_user", "user_id", "since", "attention_id"),
)

stops = Table(
    "stops",
    metadata,
    Column("stop_id", Uuid, primary_key=True),
    Column("environment", String),
    Column("market_type", String),
    Column("exchange_code", Integer),
    Column("message", Text),
    Column("stopped_at", UtcTime),
    Column("allowed_at", UtcTime),
    Column("allowed_by", Uuid),
)
