"""The executor's SQL: claiming by lane and lease, saving by compare-and-set, positions."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.executor.orders import Position
from services.executor.report import Reporter
from services.executor.state import Closed, Decision, End, Fact, Opened, Protected, Said, Sleep, State, Work
from services.executor.tables import executions, positions
from shared.clock import Clock, from_ms, to_ms
from shared.contracts import ExecutionRequested, Job, MarketType, Signal
from shared.db.database import Database, Transaction

_STATE = TypeAdapter(State)
# A job whose predecessor in the lane has not arrived after this long goes first: the predecessor is lost or late.
# It may still come (senders tell again what was lost), and must then do nothing that its successor has overtaken.
_GAP = timedelta(seconds=10)


@dataclass(slots=True)
class Claimed:
    """A row that is ours until its lease ends or somebody else has saved it."""

    work: Work
    state: State
    version: int
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """An open position of ours and whose it is."""

    position: Position
    subscription_id: UUID
    work: Work


class Store:
    """The executor's part of the database."""

    def __init__(self, database: Database, clock: Clock, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease

    async def add_jobs(self, requests: Sequence[ExecutionRequested]) -> None:
        """Put jobs into their lanes; one that is known already is left alone."""
        now, fresh = self._clock.now(), _STATE.dump_json(State()).decode()
        rows = [
            {
                "id": job.execution_id,
                "exchange_account_id": job.exchange_account_id,
                "sequence": job.sequence,
                "signal": request.signal.model_dump_json(),
                "job": job.model_dump_json(),
                "state": fresh,
                "phase": State().phase,
                "version": 0,
                "wake_at": now,
                "arrived_at": now,
                "finished": False,
            }
            for request in requests
            for job in request.jobs
        ]
        async with self._database.transaction() as tx:
            dialect: Any = postgresql if tx.connection.dialect.name == "postgresql" else sqlite
            await tx.connection.execute(dialect.insert(executions).on_conflict_do_nothing(), rows)

    async def claim_due(self, limit: int) -> list[Claimed]:
        """Take up to `limit` rows whose time has come and whose lane is theirs, for the length of the lease."""
        now = self._clock.now()
        other, previous = executions.alias("other"), executions.alias("previous")
        lane = executions.c.exchange_account_id
        is_earlier, is_new = other.c.sequence < executions.c.sequence, executions.c.version == 0
        # what has begun goes on, also when its lost predecessor comes; whoever is new waits for all that has begun
        busy = exists().where(
            other.c.exchange_account_id == lane,
            other.c.finished.is_(False),
            or_(is_earlier & (is_new | (other.c.version > 0)), ~is_earlier & is_new & (other.c.version > 0)),
        )
        follows = exists().where(
            previous.c.exchange_account_id == lane, previous.c.sequence == executions.c.sequence - 1
        )
        due = (
            select(executions.c.id)
            .where(
                executions.c.finished.is_(False),
                executions.c.wake_at <= now,
                ~busy,
                or_(executions.c.sequence == 1, follows, executions.c.arrived_at < now - _GAP),
            )
            .order_by(executions.c.wake_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=executions)
            .cte("due")
        )
        claim = (
            update(executions)
            .where(executions.c.id.in_(select(due.c.id)))
            .values(wake_at=now + self._lease, version=executions.c.version + 1)
            .returning(*(executions.c[n] for n in ("signal", "job", "state", "version", "arrived_at")))
        )
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(claim)).all()
        return [_claimed(row) for row in rows]

    def is_late(self, signal: Signal) -> bool:
        """Whether a signal comes so late that others may have overtaken it; until then its lane keeps the order."""
        return self._clock.now() - signal.received_at > _GAP

    async def is_overtaken(self, work: Work) -> bool:
        """Whether the subscription has begun with a later signal for the same symbol before this late one."""
        mine, job = work.signal, work.job
        if not self.is_late(mine):
            return False
        query = select(executions.c.signal, executions.c.job).where(
            executions.c.exchange_account_id == job.exchange_account_id,
            executions.c.version > 0,
            executions.c.id != job.execution_id,
            executions.c.arrived_at > mine.received_at,
        )
        async with self._database.transaction() as tx:
            begun = [_work(row) for row in await tx.connection.execute(query)]
        return any(
            other.job.subscription_id == job.subscription_id
            and other.signal.received_at > mine.received_at
            and (other.signal.symbol is None or other.signal.symbol == mine.symbol)
            for other in begun
        )

    async def next_wake_at(self) -> datetime | None:
        """When the next alarm rings. What is due already but not claimed waits for its lane, not for an alarm."""
        query = select(func.min(executions.c.wake_at)).where(
            executions.c.finished.is_(False), executions.c.wake_at > self._clock.now()
        )
        async with self._database.transaction() as tx:
            wake_at: datetime | None = (await tx.connection.execute(query)).scalar_one()
        return wake_at

    async def save(self, claimed: Claimed, decision: Decision, now_ms: int) -> bool:
        """Commit a decision and what it tells, in one transaction; false when the row is somebody else's by now.

        `now_ms` is the exchange's time by which it was decided.
        """
        now = self._clock.now()
        effect = decision.effect
        pause = timedelta(milliseconds=effect.until_ms - now_ms) if isinstance(effect, Sleep) else self._lease
        work, state = claimed.work, decision.state
        change = (
            update(executions)
            .where(executions.c.id == work.job.execution_id, executions.c.version == claimed.version)
            .values(
                state=_STATE.dump_json(state).decode(),
                phase=state.phase,
                version=claimed.version + 1,
                wake_at=now + pause,
                finished=isinstance(effect, End),
            )
        )
        async with self._database.transaction() as tx:
            if (await tx.connection.execute(change)).rowcount == 0:
                return False
            reporter = Reporter(work, now, claimed.arrived_at)
            for fact in decision.facts:
                if isinstance(fact, Protected):
                    await self._note_protections(tx, fact.position)
                elif await self._apply(tx, work, fact, now):
                    tx.publish(reporter.message(fact))
        claimed.version, claimed.state = claimed.version + 1, state
        return True

    async def hear(self, execution_id: UUID, said: Said) -> bool:
        """Note a person's word with an execution that needs attention, and wake it; false where none is needed.

        Whoever drives it at this moment loses the comparison and stands down.
        """
        async with self._database.transaction() as tx:
            mine = executions.c.id == execution_id
            query = select(executions.c.state, executions.c.version).where(mine, executions.c.finished.is_(False))
            row = (await tx.connection.execute(query.with_for_update())).one_or_none()
            state = _STATE.validate_json(row.state) if row is not None else State()
            if row is None or state.attention is None:
                return False
            heard = _STATE.dump_json(replace(state, said=said)).decode()
            change = update(executions).where(mine, executions.c.version == row.version)
            change = change.values(state=heard, version=row.version + 1, wake_at=self._clock.now())
            return (await tx.connection.execute(change)).rowcount == 1

    async def close(self, held: Held, closed: Closed, *, only_if_idle: bool) -> bool:
        """Record that a position is gone; false when that is on record already.

        `only_if_idle`: also false while an execution is at work on the account, which may be what closed it and knows
        better why.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            if only_if_idle and (await tx.connection.execute(_at_work(held.work.job.exchange_account_id))).first():
                return False
            if not await self._apply(tx, held.work, closed, now):
                return False
            tx.publish(Reporter(held.work, now, now).message(closed))
        return True

    async def reopen(self, held: Held, change: Callable[[State], State]) -> bool:
        """Give the ended execution that opened a position a changed state to go on from, in its lane.

        False, and nothing is changed, while an execution is at work on the account, or the position is closed.
        """
        now, execution_id = self._clock.now(), held.work.job.execution_id
        ended = select(executions.c.state, executions.c.version).where(
            executions.c.id == execution_id,
            executions.c.finished.is_(True),
            exists().where(positions.c.id == held.position.id, positions.c.closed_at.is_(None)),
        )
        async with self._database.transaction() as tx:
            row = (await tx.connection.execute(ended.with_for_update(of=executions))).one_or_none()
            if row is None or (await tx.connection.execute(_at_work(held.work.job.exchange_account_id))).first():
                return False
            state = change(_STATE.validate_json(row.state))
            values = {"state": _STATE.dump_json(state).decode(), "phase": state.phase, "finished": False}
            values |= {"version": row.version + 1, "wake_at": now}
            again = update(executions).where(executions.c.id == execution_id, executions.c.version == row.version)
            return (await tx.connection.execute(again.values(values))).rowcount == 1

    async def _note_protections(self, tx: Transaction, position: Position) -> None:
        fields = asdict(position)
        changed = {name: fields[name] for name in fields if name.startswith(("stop_", "target_"))}
        await tx.connection.execute(update(positions).where(positions.c.id == position.id).values(changed))

    async def _apply(self, tx: Transaction, work: Work, fact: Fact, now: datetime) -> bool:
        """Carry a fact into the positions; false when it changes nothing and so must not be told again."""
        match fact:
            case Opened(position):
                fields = asdict(position)
                opened_at = from_ms(fields.pop("opened_at_ms"))
                owner = {
                    "execution_id": work.job.execution_id,
                    "exchange_account_id": work.job.exchange_account_id,
                    "subscription_id": work.job.subscription_id,
                }
                row = fields | owner | {"opened_at": opened_at, "check_at": now}
                await tx.connection.execute(insert(positions).values(row))
            case Closed(position, settled):
                change = (
                    update(positions)
                    .where(positions.c.id == position.id, positions.c.closed_at.is_(None))
                    .values(
                        closed_at=now,
                        close_reason=settled.reason,
                        exit_price=settled.exit_price,
                        realized_usd=settled.realized_usd,
                    )
                )
                return (await tx.connection.execute(change)).rowcount == 1
        return True

    async def open_positions(self, exchange_account_id: UUID, market: MarketType) -> list[Held]:
        """What our subscriptions hold in one market of an account, as far as we know."""
        query = _HELD.where(positions.c.exchange_account_id == exchange_account_id)
        async with self._database.transaction() as tx:
            ours = [_held(row) for row in await tx.connection.execute(query)]
        return [held for held in ours if held.work.job.config.market_type == market]

    async def due_positions(self, limit: int, again_after: timedelta) -> list[Held]:
        """Open positions to look at now, leased until `again_after`; none whose lane is at work on the account."""
        now = self._clock.now()
        at_work = exists().where(
            executions.c.exchange_account_id == positions.c.exchange_account_id, executions.c.finished.is_(False)
        )
        due = (
            select(positions.c.id)
            .where(positions.c.closed_at.is_(None), positions.c.check_at <= now, ~at_work)
            .order_by(positions.c.check_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=positions)
            .cte("due")
        )
        claim = (
            update(positions)
            .where(positions.c.id.in_(select(due.c.id)))
            .values(check_at=now + again_after)
            .returning(positions.c.id)
        )
        async with self._database.transaction() as tx:
            ids = list((await tx.connection.execute(claim)).scalars())
            return [_held(row) for row in await tx.connection.execute(_HELD.where(positions.c.id.in_(ids)))]

    async def lost_today(self, subscription_id: UUID) -> Decimal:
        """Realized loss of the UTC day in USD, commission included; 0 in profit."""
        midnight = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        query = select(positions.c.realized_usd).where(
            and_(positions.c.subscription_id == subscription_id, positions.c.closed_at >= midnight)
        )
        async with self._database.transaction() as tx:
            earned = [value for value in (await tx.connection.execute(query)).scalars() if value is not None]
        return max(Decimal(0), -sum(earned, Decimal(0)))


_OPEN = tuple(column for column in positions.c if column.name in Position.__dataclass_fields__)
_HELD = (
    select(*_OPEN, positions.c.opened_at, positions.c.subscription_id, executions.c.signal, executions.c.job)
    .join_from(positions, executions, positions.c.execution_id == executions.c.id)
    .where(positions.c.closed_at.is_(None))
)


def _at_work(exchange_account_id: UUID) -> Select[tuple[UUID]]:
    return (
        select(executions.c.id)
        .where(executions.c.exchange_account_id == exchange_account_id, executions.c.finished.is_(False))
        .limit(1)
    )


def _claimed(row: Row[*tuple[Any, ...]]) -> Claimed:
    return Claimed(_work(row), _STATE.validate_json(row.state), row.version, row.arrived_at)


def _held(row: Row[*tuple[Any, ...]]) -> Held:
    fields = {column.name: getattr(row, column.name) for column in _OPEN}
    position = Position(**fields, opened_at_ms=to_ms(row.opened_at))
    return Held(position, row.subscription_id, _work(row))


def _work(row: Row[*tuple[Any, ...]]) -> Work:
    return Work(Signal.model_validate_json(row.signal), Job.model_validate_json(row.job))
