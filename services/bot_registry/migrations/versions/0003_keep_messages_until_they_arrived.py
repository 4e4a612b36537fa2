"""Keep messages until they arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("told", sa.Integer(), server_default="0", nullable=False), schema="registry")
    op.create_index("ix_outbox_message_id", "outbox", ["message_id"], unique=False, schema="registry")
