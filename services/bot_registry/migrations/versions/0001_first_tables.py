"""First tables."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "bots",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("market_type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("master_webhook_path", sa.String(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("default_leverage", sa.Integer(), nullable=False),
        sa.Column("default_margin_usd", shared.db.types.Money(), nullable=False),
        sa.Column("default_stop_loss_pct", shared.db.types.Money(), nullable=True),
        sa.Column("default_take_profit_pct", shared.db.types.Money(), nullable=True),
        sa.Column("rate_limit_per_minute", sa.Integer(), nullable=False),
        sa.Column("duplicate_window_seconds", sa.Integer(), nullable=False),
        sa.Column("max_signal_age_seconds", sa.Integer(), nullable=False),
        sa.Column("on_opposite", sa.String(), nullable=False),
        sa.Column("max_entries_per_symbol", sa.Integer(), nullable=False),
        sa.Column("created_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("master_webhook_path", name="uq_bots_master_webhook_path"),
        schema="registry",
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_until", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        schema="registry",
    )
    op.create_table(
        "signals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("body_digest", sa.String(), nullable=False),
        sa.Column("alert_id", sa.String(), nullable=True),
        sa.Column("received_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("duplicate_of", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("bot_id", "alert_id", name="uq_signals_alert"),
        schema="registry",
    )
    op.create_index(
        "ix_signals_body", "signals", ["bot_id", "body_digest", "received_at"], unique=False, schema="registry"
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        schema="registry",
    )
    op.create_table(
        "exchange_accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("key_digest", sa.String(), nullable=False),
        sa.Column("api_key_last4", sa.String(), nullable=False),
        sa.Column("sealed_credentials", sa.Text(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["registry.users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_digest", name="uq_exchange_accounts_key_digest"),
        schema="registry",
    )
    op.create_index("ix_exchange_accounts_user_id", "exchange_accounts", ["user_id"], unique=False, schema="registry")
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("exchange_account_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("custom_leverage", sa.Integer(), nullable=True),
        sa.Column("custom_margin_usd", shared.db.types.Money(), nullable=True),
        sa.Column("custom_stop_loss_pct", shared.db.types.Money(), nullable=True),
        sa.Column("custom_take_profit_pct", shared.db.types.Money(), nullable=True),
        sa.Column("max_daily_loss_usd", shared.db.types.Money(), nullable=True),
        sa.Column("max_concurrent_positions", sa.Integer(), nullable=True),
        sa.Column("created_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["bot_id"],
            ["registry.bots.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["registry.users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="registry",
    )
    op.create_index(
        "ix_subscriptions_exchange_account_id",
        "subscriptions",
        ["exchange_account_id"],
        unique=False,
        schema="registry",
    )
    op.create_index("ix_subscriptions_user_id", "subscriptions", ["user_id"], unique=False, schema="registry")
    op.create_index(
        "uq_subscriptions_bot_account",
        "subscriptions",
        ["bot_id", "exchange_account_id"],
        unique=True,
        schema="registry",
        postgresql_where=sa.text("status <> 'deleted'"),
        sqlite_where=sa.text("status <> 'deleted'"),
    )
