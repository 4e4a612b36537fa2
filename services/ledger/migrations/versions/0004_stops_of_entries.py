"""Stops of entries."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "stops",
        sa.Column("stop_id", sa.Uuid(), nullable=False),
        sa.Column("environment", sa.String(), nullable=True),
        sa.Column("market_type", sa.String(), nullable=True),
        sa.Column("exchange_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("stopped_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("allowed_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("allowed_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("stop_id"),
        schema="ledger",
    )
