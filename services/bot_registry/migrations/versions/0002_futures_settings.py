"""Margin type, protections and shared symbols per bot; what to do with too much leverage per subscription."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("bots", sa.Column("margin_type", sa.String()), schema="registry")
    op.add_column(
        "bots",
        sa.Column("protection_working_type", sa.String(), nullable=False, server_default="mark_price"),
        schema="registry",
    )
    op.add_column(
        "bots", sa.Column("price_protect", sa.Boolean(), nullable=False, server_default=sa.false()), schema="registry"
    )
    op.add_column(
        "bots", sa.Column("when_symbol_held", sa.String(), nullable=False, server_default="share"), schema="registry"
    )
    op.add_column(
        "subscriptions",
        sa.Column("leverage_policy", sa.String(), nullable=False, server_default="reject"),
        schema="registry",
    )
