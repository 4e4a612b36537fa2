"""Stops of entries."""

import sqlalchemy as sa
from alembic import op

import shared.db.types

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "refusals",
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("market", sa.String(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("exchange_account_id", sa.Uuid(), nullable=False),
        sa.Column("refused_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "market", "code", "exchange_account_id"),
        schema="executor",
    )
    op.create_table(
        "stops",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("market", sa.String(), nullable=False),
        sa.Column("exchange_code", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("stopped_at", shared.db.types.UtcTime(timezone=True), nullable=False),
        sa.Column("allowed_at", shared.db.types.UtcTime(timezone=True), nullable=True),
        sa.Column("allowed_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="executor",
    )
    op.create_index(
        "stops_open",
        "stops",
        ["scope", "environment", "market"],
        unique=True,
        schema="executor",
        postgresql_where=sa.text("allowed_at IS NULL"),
        sqlite_where=sa.text("allowed_at IS NULL"),
    )
