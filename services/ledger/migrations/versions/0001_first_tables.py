"""First tables."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "executions",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("ticker", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("exchange_order_id", sa.String(), nullable=True),
        sa.Column("executed_price", shared.db.types.Money(), nullable=True),
        sa.Column("executed_quantity", shared.db.types.Money(), nullable=True),
        sa.Column("stop_loss_order_id", sa.String(), nullable=True),
        sa.Column("take_profit_order_id", sa.String(), nullable=True),
        sa.Column("stop_loss_price", shared.db.types.Money(), nullable=True),
        sa.Column("take_profit_price", shared.db.types.Money(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("exchange_code", sa.Integer(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("execution_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("naked_ms", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id"),
        sa.UniqueConstraint("position"),
        schema="ledger",
    )
    op.create_index("executions_by_signal", "executions", ["signal_id", "position"], unique=False, schema="ledger")
    op.create_index(
        "executions_by_subscription", "executions", ["subscription_id", "position"], unique=False, schema="ledger"
    )
    op.create_index("executions_by_user", "executions", ["user_id", "position"], unique=False, schema="ledger")
    op.create_index(op.f("ix_ledger_executions_change"), "executions", ["change"], unique=False, schema="ledger")
    heads = op.create_table(
        "heads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_until", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        schema="ledger",
    )
    op.create_table(
        "positions",
        sa.Column("position_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("ticker", sa.String(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=True),
        sa.Column("side", sa.String(), nullable=True),
        sa.Column("quantity", shared.db.types.Money(), nullable=True),
        sa.Column("entry_price", shared.db.types.Money(), nullable=True),
        sa.Column("stop_loss_price", shared.db.types.Money(), nullable=True),
        sa.Column("take_profit_price", shared.db.types.Money(), nullable=True),
        sa.Column("opened_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("closed_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.String(), nullable=True),
        sa.Column("exit_price", shared.db.types.Money(), nullable=True),
        sa.Column("realized_pnl_usd", shared.db.types.Money(), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_positions_change"), "positions", ["change"], unique=False, schema="ledger")
    op.create_index(
        "positions_by_subscription",
        "positions",
        ["subscription_id", "opened_at", "position_id"],
        unique=False,
        schema="ledger",
    )
    op.create_index("positions_by_time", "positions", ["opened_at", "position_id"], unique=False, schema="ledger")
    op.create_index(
        "positions_by_user", "positions", ["user_id", "opened_at", "position_id"], unique=False, schema="ledger"
    )
    op.create_table(
        "records",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("execution_id"),
        schema="ledger",
    )
    op.create_table(
        "signals",
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("ticker", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("source_ip", sa.String(), nullable=True),
        sa.Column("received_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("total_subscribers", sa.Integer(), nullable=True),
        sa.Column("successful_executions", sa.Integer(), nullable=False),
        sa.Column("failed_executions", sa.Integer(), nullable=False),
        sa.Column("skipped_executions", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signal_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_signals_change"), "signals", ["change"], unique=False, schema="ledger")
    op.create_index("signals_by_bot", "signals", ["bot_id", "received_at", "signal_id"], unique=False, schema="ledger")
    op.create_index("signals_by_time", "signals", ["received_at", "signal_id"], unique=False, schema="ledger")
    op.create_table(
        "subscriptions",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id"),
        schema="ledger",
    )
    op.create_index("subscriptions_by_bot", "subscriptions", ["bot_id", "user_id"], unique=False, schema="ledger")
    op.bulk_insert(heads, [{"id": 1, "position": 0, "hash": "0" * 64, "change": 0}])
    _make_records_append_only()


def _make_records_append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER records_refuse_{event.lower()} BEFORE {event} ON records "
                "BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'records are append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER records_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.records "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
    )
