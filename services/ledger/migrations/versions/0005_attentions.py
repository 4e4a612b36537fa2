"""Executions that need attention."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "attentions",
        sa.Column("attention_id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("bot_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("symbol", sa.String(), nullable=True),
        sa.Column("doubt", sa.String(), nullable=True),
        sa.Column("client_order_id", sa.String(), nullable=True),
        sa.Column("since", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("ended_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("attention_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_attentions_change"), "attentions", ["change"], unique=False, schema="ledger")
    op.create_index("attentions_by_time", "attentions", ["since", "attention_id"], unique=False, schema="ledger")
    op.create_index(
        "attentions_by_user", "attentions", ["user_id", "since", "attention_id"], unique=False, schema="ledger"
    )
    op.add_column(
        "signals", sa.Column("needing_attention", sa.Integer(), server_default="0", nullable=False), schema="ledger"
    )
