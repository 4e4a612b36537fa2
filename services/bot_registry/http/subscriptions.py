"""Subscriptions: the customer's own. An account follows a bot, with settings and limits of its own."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, computed_field
from sqlalchemy import RowMapping

from services.bot_registry.http.fields import (
    Leverage,
    Page,
    PageQuery,
    StopLossPct,
    TakeProfitPct,
    Usd,
    absent,
    cut,
)
from services.bot_registry.store import Taken, Values, bots, exchange_accounts, subscriptions
from shared import ids
from shared.clock import Clock
from shared.contracts import LeveragePolicy, SubscriptionChanged
from shared.db.database import Database, Transaction
from shared.money import Amount
from shared.web.problems import Problem, not_found
from shared.web.routes import Call, Nothing, Request, Route

_TAG = "subscriptions"

Status = Literal["active", "paused"]


class _Settings(Request):
    """Null or left out: the bot's default, or no limit; 0 is a value."""

    custom_leverage: Leverage | None = None
    custom_margin_usd: Usd | None = None
    custom_stop_loss_pct: StopLossPct | None = None
    custom_take_profit_pct: TakeProfitPct | None = None
    max_daily_loss_usd: Usd | None = None
    max_concurrent_positions: Annotated[int, Field(ge=0, le=10_000)] | None = None


class NewSubscription(_Settings):
    """A subscription to be.

    `leverage_policy`, where Binance allows less leverage for the symbol and size than asked: `reject` the entry, or
    `clamp` it to the highest allowed, with the same margin and so a smaller position.
    """

    bot_id: UUID
    exchange_account_id: UUID
    leverage_policy: LeveragePolicy = "reject"


class SubscriptionChange(_Settings):
    """What is to be different; what is left out stays, null returns to the bot's default or to no limit."""

    status: Status = absent
    leverage_policy: LeveragePolicy = absent


class SubscriptionCreated(BaseModel):
    """The new subscription."""

    subscription_id: UUID


class Subscription(BaseModel):
    """A subscription. USD; percent as 2.5 for 2.5 %."""

    id: UUID
    bot_id: UUID
    user_id: UUID
    exchange_account_id: UUID
    status: Status
    custom_leverage: int | None
    custom_margin_usd: Amount | None
    custom_stop_loss_pct: Amount | None
    custom_take_profit_pct: Amount | None
    max_daily_loss_usd: Amount | None
    max_concurrent_positions: int | None
    leverage_policy: LeveragePolicy
    created_at: AwareDatetime

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def subscription_id(self) -> UUID:
        """The id, by the name that making it answered with."""
        return self.id


@dataclass(frozen=True, slots=True)
class SubscriptionRoutes:
    """Subscriptions."""

    database: Database
    clock: Clock

    def routes(self) -> list[Route]:
        """What can be asked here."""
        every, one = "/api/v1/subscriptions", "/api/v1/subscriptions/{subscription_id}"
        new, created, change = NewSubscription, SubscriptionCreated, SubscriptionChange
        return [
            Route("POST", every, self.create, "Subscribe", body=new, answer=created, status=201, tag=_TAG),
            Route("GET", every, self.page, "Subscriptions", query=PageQuery, answer=Page[Subscription], tag=_TAG),
            Route("GET", one, self.get, "A subscription", answer=Subscription, tag=_TAG),
            Route("PATCH", one, self.change, "Change a subscription", body=change, answer=Subscription, tag=_TAG),
            Route("DELETE", one, self.delete, "Unsubscribe", tag=_TAG),
        ]

    async def create(self, call: Call[NewSubscription, Nothing]) -> SubscriptionCreated:
        """A new subscription of the caller's account to a bot that is not archived; 409 `already_subscribed`."""
        body, user_id = call.body, call.user.user_id
        values = body.model_dump() | {
            "id": ids.fresh(),
            "user_id": user_id,
            "status": "active",
            "created_at": self.clock.now(),
        }
        try:
            async with self.database.transaction() as tx:
                if await bots.by_id(tx.connection, body.bot_id, is_admin=False) is None:
                    raise not_found("bot")
                # locked, so that the account is not deleted in between
                if not await exchange_accounts.lock(tx.connection, body.exchange_account_id, user_id):
                    raise not_found("exchange account")
                row = await subscriptions.add(tx.connection, values)
                self._tell(tx, row)
        except Taken:
            raise Problem(409, "already_subscribed", "This account follows this bot already.") from None
        return SubscriptionCreated(subscription_id=row["id"])

    async def page(self, call: Call[Nothing, PageQuery]) -> Page[Subscription]:
        """The caller's subscriptions; for an administrator everybody's."""
        limit = call.query.limit
        async with self.database.transaction() as tx:
            found = await subscriptions.page(tx.connection, limit, call.query.cursor, call.user.scope)
        rows, next_cursor = cut(found, limit)
        return Page(items=[Subscription.model_validate(dict(row)) for row in rows], next_cursor=next_cursor)

    async def get(self, call: Call[Nothing, Nothing]) -> Subscription:
        """A subscription."""
        async with self.database.transaction() as tx:
            row = await subscriptions.by_id(tx.connection, _id(call), call.user.scope)
        if row is None:
            raise not_found("subscription")
        return Subscription.model_validate(dict(row))

    async def change(self, call: Call[SubscriptionChange, Nothing]) -> Subscription:
        """The changed subscription; it holds from the next signal on."""
        row = await self._write(call, call.body.model_dump(exclude_unset=True))
        return Subscription.model_validate(dict(row))

    async def delete(self, call: Call[Nothing, Nothing]) -> Nothing:
        """End a subscription. What it opened stays protected at the exchange."""
        await self._write(call, {"status": "deleted"})
        return Nothing()

    async def _write(self, call: Call[Any, Nothing], values: Values) -> RowMapping:
        async with self.database.transaction() as tx:
            row = await subscriptions.change(tx.connection, _id(call), call.user.scope, values)
            if row is None:
                raise not_found("subscription")
            self._tell(tx, row)
        return row

    def _tell(self, tx: Transaction, row: RowMapping) -> None:
        tx.publish(
            SubscriptionChanged(
                id=ids.fresh(),
                occurred_at=self.clock.now(),
                subscription_id=row["id"],
                bot_id=row["bot_id"],
                user_id=row["user_id"],
                status=row["status"],
            )
        )


def _id(call: Call[Any, Nothing]) -> UUID:
    return call.id("subscription_id", "subscription")
