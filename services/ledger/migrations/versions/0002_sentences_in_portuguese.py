"""The sentence of an execution in Portuguese too."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "ledger"
    op.add_column("executions", sa.Column("error_message_pt", sa.String(), nullable=True), schema=schema)
