"""An index of what waits in each lane."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index(
        "executions_waiting",
        "executions",
        ["exchange_account_id", "sequence"],
        unique=False,
        schema="executor",
        postgresql_where=sa.text("finished IS false"),
        sqlite_where=sa.text("finished IS 0"),
    )
