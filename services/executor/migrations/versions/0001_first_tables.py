"""First tables."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "executions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("exchange_account_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wake_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("arrived_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="executor",
    )
    op.create_index(
        "executions_due",
        "executions",
        ["wake_at"],
        unique=False,
        schema="executor",
        postgresql_where=sa.text("finished IS false"),
        sqlite_where=sa.text("finished IS 0"),
    )
    op.create_index(
        "executions_lane", "executions", ["exchange_account_id", "sequence"], unique=False, schema="executor"
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_until", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        schema="executor",
    )
    op.create_table(
        "positions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("exchange_account_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("position_side", sa.String(), nullable=False),
        sa.Column("quantity", shared.db.types.Money(), nullable=False),
        sa.Column("entry_price", shared.db.types.Money(), nullable=True),
        sa.Column("entry_order_id", sa.String(), nullable=False),
        sa.Column("opened_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("stop_client_id", sa.String(), nullable=True),
        sa.Column("stop_order_id", sa.String(), nullable=True),
        sa.Column("stop_price", shared.db.types.Money(), nullable=True),
        sa.Column("target_client_id", sa.String(), nullable=True),
        sa.Column("target_order_id", sa.String(), nullable=True),
        sa.Column("target_price", shared.db.types.Money(), nullable=True),
        sa.Column("check_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("closed_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.String(), nullable=True),
        sa.Column("exit_price", shared.db.types.Money(), nullable=True),
        sa.Column("realized_usd", shared.db.types.Money(), nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executor.executions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="executor",
    )
    op.create_index("positions_day", "positions", ["subscription_id", "closed_at"], unique=False, schema="executor")
    op.create_index(
        "positions_open",
        "positions",
        ["exchange_account_id"],
        unique=False,
        schema="executor",
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
