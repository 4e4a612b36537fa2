"""The dispatcher's own SQL. Locks are taken in one order: the bot, then the exchange accounts by id."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bot_registry.fanout import Subscriber
from services.bot_registry.tables import exchange_accounts, signals, subscriptions
from shared.contracts import Signal

_IDS_PER_STATEMENT = 5_000  # asyncpg and SQLite take some 32,000 parameters at most


class AlreadyDispatched(Exception):
    """Another dispatcher committed this signal, its messages included."""


async def find_first(connection: AsyncConnection, signal: Signal, window: timedelta) -> UUID | None:
    """The signal that this one repeats: the same `alert_id` ever, or the same body within `window` of it.

    Both directions in time: what a second gateway received earlier may be dispatched later.
    """
    same_body = (
        (signals.c.body_digest == signal.body_digest)
        & (signals.c.received_at > signal.received_at - window)
        & (signals.c.received_at < signal.received_at + window)
    )
    same_alert = signals.c.alert_id == signal.alert_id
    repeated = same_body if signal.alert_id is None else or_(same_body, same_alert)
    first = (
        select(signals.c.id)
        .where(signals.c.bot_id == signal.bot_id, signals.c.duplicate_of.is_(None), repeated)
        .order_by(signals.c.received_at)
        .limit(1)
    )
    found: UUID | None = await connection.scalar(first)
    return found


async def remember(connection: AsyncConnection, signal: Signal, duplicate_of: UUID | None) -> None:
    """Note that the signal is dispatched. Raises AlreadyDispatched."""
    row = {
        "id": signal.signal_id,
        "bot_id": signal.bot_id,
        "body_digest": signal.body_digest,
        "alert_id": signal.alert_id if duplicate_of is None else None,
        "received_at": signal.received_at,
        "duplicate_of": duplicate_of,
    }
    try:
        await connection.execute(insert(signals).values(row))
    except IntegrityError as error:
        raise AlreadyDispatched from error


async def subscribers(connection: AsyncConnection, bot_id: UUID) -> list[Subscriber]:
    """The bot's active subscriptions."""
    found = await connection.execute(_subscribers(bot_id))
    return [Subscriber(**row) for row in found.mappings()]


async def lock_subscribers(connection: AsyncConnection, bot_id: UUID) -> list[Subscriber]:
    """The bot's active subscriptions, their accounts' lanes locked until the end of the transaction."""
    found = await connection.execute(_subscribers(bot_id).with_for_update(of=exchange_accounts))
    return [Subscriber(**row) for row in found.mappings()]


def _subscribers(bot_id: UUID) -> Select[tuple[object, ...]]:
    return (
        select(
            subscriptions.c.id.label("subscription_id"),
            subscriptions.c.user_id,
            subscriptions.c.exchange_account_id,
            exchange_accounts.c.environment,
            exchange_accounts.c.sealed_credentials,
            exchange_accounts.c.last_sequence,
            subscriptions.c.custom_leverage,
            subscriptions.c.custom_margin_usd,
            subscriptions.c.custom_stop_loss_pct,
            subscriptions.c.custom_take_profit_pct,
            subscriptions.c.max_daily_loss_usd,
            subscriptions.c.max_concurrent_positions,
            subscriptions.c.leverage_policy,
        )
        .join(exchange_accounts, exchange_accounts.c.id == subscriptions.c.exchange_account_id)
        .where(subscriptions.c.bot_id == bot_id, subscriptions.c.status == "active")
        .order_by(exchange_accounts.c.id)
    )


async def advance_lanes(connection: AsyncConnection, jobs_by_account: Mapping[UUID, int]) -> None:
    """Count the new jobs in the lanes of their accounts, which must be locked."""
    accounts_by_count: defaultdict[int, list[UUID]] = defaultdict(list)
    for account_id, count in jobs_by_account.items():
        accounts_by_count[count].append(account_id)
    for count, account_ids in accounts_by_count.items():
        for start in range(0, len(account_ids), _IDS_PER_STATEMENT):
            await _advance(connection, account_ids[start : start + _IDS_PER_STATEMENT], count)


async def _advance(connection: AsyncConnection, account_ids: Sequence[UUID], count: int) -> None:
    table = exchange_accounts
    advanced = update(table).where(table.c.id.in_(account_ids)).values(last_sequence=table.c.last_sequence + count)
    await connection.execute(advanced)
