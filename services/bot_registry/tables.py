"""The tables of schema `registry`. The HTTP process and the dispatcher share them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)

from shared.db.outbox import outbox_table
from shared.db.types import Money, UtcTime

metadata = MetaData(schema="registry")

outbox = outbox_table(metadata)

# `email` in lower case, so that one mailbox is one user
users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("email", name="uq_users_email"),
)

# `secrets`: a list of shared.contracts.EncryptedSecret, newest first. `revision` counts every change.
bots = Table(
    "bots",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("description", Text),
    Column("market_type", String, nullable=False),
    Column("status", String, nullable=False),
    Column("master_webhook_path", String, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("default_leverage", Integer, nullable=False),
    Column("default_margin_usd", Money, nullable=False),
    Column("default_stop_loss_pct", Money),
    Column("default_take_profit_pct", Money),
    Column("rate_limit_per_minute", Integer, nullable=False),
    Column("duplicate_window_seconds", Integer, nullable=False),
    Column("max_signal_age_seconds", Integer, nullable=False),
    Column("on_opposite", String, nullable=False),
    Column("max_entries_per_symbol", Integer, nullable=False),
    Column("margin_type", String),
    Column("protection_working_type", String, nullable=False, server_default="mark_price"),
    Column("price_protect", Boolean, nullable=False, server_default=false()),
    Column("when_symbol_held", String, nullable=False, server_default="share"),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("master_webhook_path", name="uq_bots_master_webhook_path"),
)

# `last_sequence` is the lane's last number given out (shared.contracts.Job.sequence)
exchange_accounts = Table(
    "exchange_accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey(users.c.id), nullable=False),
    Column("label", String, nullable=False),
    Column("exchange", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("key_digest", String, nullable=False),
    Column("api_key_last4", String, nullable=False),
    Column("sealed_credentials", Text, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("key_digest", name="uq_exchange_accounts_key_digest"),
    Index("ix_exchange_accounts_user_id", "user_id"),
)

# A deleted subscription stays as history and outlives its exchange account: hence no foreign key to it.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("bot_id", Uuid, ForeignKey(bots.c.id), nullable=False),
    Column("user_id", Uuid, ForeignKey(users.c.id), nullable=False),
    Column("exchange_account_id", Uuid, nullable=False),
    Column("status", String, nullable=False),
    Column("custom_leverage", Integer),
    Column("custom_margin_usd", Money),
    Column("custom_stop_loss_pct", Money),
    Column("custom_take_profit_pct", Money),
    Column("max_daily_loss_usd", Money),
    Column("max_concurrent_positions", Integer),
    Column("leverage_policy", String, nullable=False, server_default="reject"),
    Column("created_at", UtcTime, nullable=False),
    Index(
        "uq_subscriptions_bot_account",
        "bot_id",
        "exchange_account_id",
        unique=True,
        postgresql_where=text("status <> 'deleted'"),
        sqlite_where=text("status <> 'deleted'"),
    ),
    Index("ix_subscriptions_user_id", "user_id"),
    Index("ix_subscriptions_exchange_account_id", "exchange_account_id"),
)

# Every signal dispatched, so that it is dispatched once. `alert_id` is null where it repeats another signal's.
signals = Table(
    "signals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("bot_id", Uuid, nullable=False),
    Column("body_digest", String, nullable=False),
    Column("alert_id", String),
    Column("received_at", UtcTime, nullable=False),
    Column("duplicate_of", Uuid),
    UniqueConstraint("bot_id", "alert_id", name="uq_signals_alert"),
    Index("ix_signals_body", "bot_id", "body_digest", "received_at"),
)
