"""Exchange accounts: the customer's own. Their keys come in, are checked and sealed, and never come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, computed_field

from services.bot_registry.http.fields import ExchangeKey, Line, Page, PageQuery, cut
from services.bot_registry.key_digest import KeyDigest
from services.bot_registry.key_rights import Refused
from services.bot_registry.keycheck import ExchangeUnavailable, KeyCheck
from services.bot_registry.store import Taken, exchange_accounts, subscriptions
from shared import ids
from shared.clock import Clock
from shared.contracts import Environment
from shared.db.database import Database
from shared.sealing import Credentials, Sealer
from shared.web.problems import Problem, not_found
from shared.web.routes import Call, Nothing, Request, Route

_TAG = "exchange accounts"


class NewExchangeAccount(Request):
    """A key at an exchange that is to trade for its owner."""

    label: Line
    exchange: Literal["binance"]
    environment: Environment
    api_key: ExchangeKey
    api_secret: ExchangeKey


class _Described(BaseModel):
    label: str
    exchange: str
    environment: Environment
    api_key_last4: str


class ExchangeAccountCreated(_Described):
    """The new account. `warnings` are sentences for its owner."""

    exchange_account_id: UUID
    warnings: Sequence[str]


class ExchangeAccount(_Described):
    """An exchange account."""

    id: UUID
    user_id: UUID
    created_at: AwareDatetime

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def exchange_account_id(self) -> UUID:
        """The id, by the name that making it answered with."""
        return self.id


@dataclass(frozen=True, slots=True)
class ExchangeAccountRoutes:
    """Exchange accounts. Without `live_trading`, accounts with real money are refused."""

    database: Database
    clock: Clock
    key_check: KeyCheck
    key_digest: KeyDigest
    sealer: Sealer
    live_trading: bool

    def routes(self) -> list[Route]:
        """What can be asked here."""
        every, one = "/api/v1/exchange-accounts", "/api/v1/exchange-accounts/{exchange_account_id}"
        new, created, page = NewExchangeAccount, ExchangeAccountCreated, Page[ExchangeAccount]
        return [
            Route("POST", every, self.create, "Connect an account", body=new, answer=created, status=201, tag=_TAG),
            Route("GET", every, self.page, "Exchange accounts", query=PageQuery, answer=page, tag=_TAG),
            Route("DELETE", one, self.delete, "Disconnect an account", tag=_TAG),
        ]

    async def create(self, call: Call[NewExchangeAccount, Nothing]) -> ExchangeAccountCreated:
        """A new account, its key checked at the exchange first.

        422 `live_trading_disabled`, `environment_not_offered`, `key_rejected`, `key_can_withdraw`, `key_can_transfer`,
        `key_lacks_permission`; 409 `key_already_connected`; 503 `exchange_unavailable`.
        """
        body, account_id = call.body, ids.fresh()
        credentials = Credentials(body.api_key, body.api_secret)
        warnings = await self._check(body.environment, credentials)
        values = body.model_dump(include={"label", "exchange", "environment"}) | {
            "api_key_last4": body.api_key.get_secret_value()[-4:]
        }
        row = values | {
            "id": account_id,
            "user_id": call.user.user_id,
            "sealed_credentials": self.sealer.seal(credentials, account_id),
            "created_at": self.clock.now(),
        }
        try:
            async with self.database.transaction() as tx:
                await exchange_accounts.add(tx.connection, row, self.key_digest.all_of(body.api_key))
        except Taken:
            raise Problem(409, "key_already_connected", "This key is connected already.", field="api_key") from None
        return ExchangeAccountCreated(exchange_account_id=account_id, warnings=warnings, **values)

    async def _check(self, environment: Environment, credentials: Credentials) -> Sequence[str]:
        if environment == "live" and not self.live_trading:
            raise Problem(422, "live_trading_disabled", "This system trades no real money.", field="environment")
        if not self.key_check.offers(environment):
            detail = f"This system has no {environment} exchange; choose another environment."
            raise Problem(422, "environment_not_offered", detail, field="environment")
        try:
            verdict = await self.key_check.check(environment, credentials)
        except ExchangeUnavailable:
            detail = "The exchange did not answer about the key; try again in a minute."
            raise Problem(503, "exchange_unavailable", detail, headers={"Retry-After": "60"}) from None
        if isinstance(verdict, Refused):
            raise Problem(422, verdict.code, verdict.detail, field="api_key")
        return verdict.warnings

    async def page(self, call: Call[Nothing, PageQuery]) -> Page[ExchangeAccount]:
        """The caller's accounts; for an administrator everybody's."""
        limit = call.query.limit
        async with self.database.transaction() as tx:
            found = await exchange_accounts.page(tx.connection, limit, call.query.cursor, call.user.scope)
        rows, next_cursor = cut(found, limit)
        return Page(items=[ExchangeAccount.model_validate(dict(row)) for row in rows], next_cursor=next_cursor)

    async def delete(self, call: Call[Nothing, Nothing]) -> Nothing:
        """Forget an account and its key; 409 `account_in_use` while a subscription trades on it."""
        account_id = call.id("exchange_account_id", "exchange account")
        async with self.database.transaction() as tx:
            if not await exchange_accounts.lock(tx.connection, account_id, call.user.scope):
                raise not_found("exchange account")
            if await subscriptions.use_account(tx.connection, account_id):
                raise Problem(409, "account_in_use", "Delete the subscriptions that trade on this account first.")
            await exchange_accounts.remove(tx.connection, account_id)
        return Nothing()
