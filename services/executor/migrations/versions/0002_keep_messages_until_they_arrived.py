"""Keep messages until they arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("told", sa.Integer(), server_default="0", nullable=False), schema="executor")
    op.create_index("ix_outbox_message_id", "outbox", ["message_id"], unique=False, schema="executor")
