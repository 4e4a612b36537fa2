"""The executor's tables: executions (the journal, and by their order the lanes), positions, stops, outbox."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, Uuid

from shared.db.outbox import outbox_table
from shared.db.types import Money, UtcTime

SCHEMA = "executor"
metadata = MetaData(schema=SCHEMA)

executions = Table(
    "executions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("exchange_account_id", Uuid, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("signal", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("phase", String, nullable=False),
    # compare-and-set: who saves must know the version, so two workers never both go on
    Column("version", Integer, nullable=False),
    # alarm clock and lease in one: nobody claims the row before
    Column("wake_at", UtcTime, nullable=False),
    Column("arrived_at", UtcTime, nullable=False),
    Column("finished", Boolean, nullable=False),
)
Index("executions_lane", executions.c.exchange_account_id, executions.c.sequence)
# whether a lane is busy is asked of every row that waits in it: not by way of all that it has done
Index(
    "executions_waiting",
    executions.c.exchange_account_id,
    executions.c.sequence,
    postgresql_where=executions.c.finished.is_(False),
    sqlite_where=executions.c.finished.is_(False),
)
Index(
    "executions_due",
    executions.c.wake_at,
    postgresql_where=executions.c.finished.is_(False),
    sqlite_where=executions.c.finished.is_(False),
)

positions = Table(
    "positions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("execution_id", Uuid, ForeignKey(executions.c.id), nullable=False),
    Column("exchange_account_id", Uuid, nullable=False),
    Column("subscription_id", Uuid, nullable=False),
    Column("symbol", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("position_side", String, nullable=False),
    Column("quantity", Money, nullable=False),
    Column("entry_price", Money),
    Column("entry_order_id", String, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("stop_client_id", String),
    Column("stop_order_id", String),
    Column("stop_price", Money),
    Column("target_client_id", String),
    Column("target_order_id", String),
    Column("target_price", Money),
    Column("check_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("close_reason", String),
    Column("exit_price", Money),
    Column("realized_usd", Money),
)
Index(
    "positions_open",
    positions.c.exchange_account_id,
    postgresql_where=positions.c.closed_at.is_(None),
    sqlite_where=positions.c.closed_at.is_(None),
)
Index("positions_day", positions.c.subscription_id, positions.c.closed_at)

# where no new entry is made; one that is allowed again stays for the record
stops = Table(
    "stops",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("scope", String, nullable=False),  # "platform": everybody
    Column("environment", String, nullable=False),
    Column("market", String, nullable=False),
    # what the exchange refused with (Binance's code or an HTTP status), and in its words
    Column("exchange_code", Integer, nullable=False),
    Column("said", Text, nullable=False),
    Column("stopped_at", UtcTime, nullable=False),
    Column("allowed_at", UtcTime),
    Column("allowed_by", Uuid),
)
Index(
    "stops_open",
    stops.c.scope,
    stops.c.environment,
    stops.c.market,
    unique=True,
    postgresql_where=stops.c.allowed_at.is_(None),
    sqlite_where=stops.c.allowed_at.is_(None),
)

# the last time that an account's protection was refused in a way that nobody foresaw
refusals = Table(
    "refusals",
    metadata,
    Column("environment", String, primary_key=True),
    Column("market", String, primary_key=True),
    Column("code", Integer, primary_key=True),
    Column("exchange_account_id", Uuid, primary_key=True),
    Column("refused_at", UtcTime, nullable=False),
)

outbox = outbox_table(metadata)
