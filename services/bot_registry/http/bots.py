"""Bots: an administrator writes, every user reads the public part."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import RowMapping

from services.bot_registry.http.bot_views import (
    Bot,
    BotChange,
    BotCreated,
    BotPage,
    NewBot,
    PublicBot,
    Rotated,
    Rotation,
    alert_message,
)
from services.bot_registry.http.fields import PageQuery, cut
from services.bot_registry.store import Taken, bots
from shared import ids
from shared.clock import Clock
from shared.contracts import BotChanged, EncryptedSecret
from shared.db.database import Database, Transaction
from shared.sealing import Cipher
from shared.web.auth import Identity
from shared.web.problems import Problem, not_found
from shared.web.routes import Access, Call, Nothing, Route


@dataclass(frozen=True, slots=True)
class BotRoutes:
    """Bots. `public_url` is the origin that TradingView posts to, `cipher` the one of webhook secrets."""

    database: Database
    clock: Clock
    cipher: Cipher
    public_url: str

    def routes(self) -> list[Route]:
        """What can be asked here."""
        admin, one = Access.ADMIN, "/api/v1/bots/{bot_id}"
        return [
            Route("POST", "/api/v1/bots", self.create, "Create a bot", admin, NewBot, Nothing, BotCreated, 201, "bots"),
            Route("GET", "/api/v1/bots", self.page, "Bots", query=PageQuery, answer=BotPage, tag="bots"),
            Route("GET", one, self.get, "A bot", answer=Bot, tag="bots"),
            Route("PATCH", one, self.change, "Change a bot", admin, BotChange, answer=Bot, tag="bots"),
            Route(
                "POST", f"{one}/rotate-secret", self.rotate, "New secret", admin, Rotation, answer=Rotated, tag="bots"
            ),
        ]

    async def create(self, call: Call[NewBot, Nothing]) -> BotCreated:
        """A new bot; 409 `webhook_path_taken`."""
        given, now = call.body.master_secret, self.clock.now()
        secret = given or _new_secret()
        values = call.body.model_dump(exclude={"master_secret"}) | {
            "id": ids.fresh(),
            "status": "active",
            "secrets": [self._encrypted(secret)],
            "created_at": now,
        }
        try:
            async with self.database.transaction() as tx:
                bot = await bots.add(tx.connection, values)
                self._tell(tx, bot)
        except Taken:
            raise _path_taken() from None
        return BotCreated(webhook_url=self._webhook_url(bot), **_told(bot, given, secret))

    async def page(self, call: Call[Nothing, PageQuery]) -> BotPage:
        """The bots; archived ones for administrators only."""
        limit, is_admin = call.query.limit, call.user.is_admin
        async with self.database.transaction() as tx:
            found = await bots.page(tx.connection, limit, call.query.cursor, is_admin=is_admin)
        rows, next_cursor = cut(found, limit)
        return BotPage(items=[self._view(row, call.user) for row in rows], next_cursor=next_cursor)

    async def get(self, call: Call[Nothing, Nothing]) -> PublicBot:
        """A bot; an archived one for administrators only."""
        async with self.database.transaction() as tx:
            bot = await bots.by_id(tx.connection, call.id("bot_id", "bot"), is_admin=call.user.is_admin)
        if bot is None:
            raise not_found("bot")
        return self._view(bot, call.user)

    async def change(self, call: Call[BotChange, Nothing]) -> PublicBot:
        """The changed bot; 409 `webhook_path_taken`."""
        try:
            async with self.database.transaction() as tx:
                changes = call.body.model_dump(exclude_unset=True)
                bot = await bots.change(tx.connection, call.id("bot_id", "bot"), changes)
                if bot is None:
                    raise not_found("bot")
                self._tell(tx, bot)
        except Taken:
            raise _path_taken() from None
        return self._view(bot, call.user)

    async def rotate(self, call: Call[Rotation, Nothing]) -> Rotated:
        """A new secret now; the one before it holds until the overlap ends, older ones no more."""
        given, overlap = call.body.master_secret, timedelta(seconds=call.body.overlap_seconds)
        secret = given or _new_secret()
        async with self.database.transaction() as tx:
            bot = await bots.lock(tx.connection, call.id("bot_id", "bot"))
            if bot is None:
                raise not_found("bot")
            rotated = [self._encrypted(secret)]
            if overlap:
                last = EncryptedSecret(token=bot["secrets"][0]["token"], valid_until=self.clock.now() + overlap)
                rotated.append(last.model_dump(mode="json"))
            bot = await bots.change(tx.connection, bot["id"], {"secrets": rotated})
            assert bot is not None, "it is locked"
            self._tell(tx, bot)
        return Rotated(**_told(bot, given, secret))

    def _encrypted(self, secret: SecretStr) -> dict[str, Any]:
        return EncryptedSecret(token=self.cipher.encrypt(secret)).model_dump(mode="json")

    def _tell(self, tx: Transaction, bot: RowMapping) -> None:
        entry = bots.entry(bot)
        change_id = ids.derived(BotChanged.TYPE, entry.bot_id, entry.revision)
        tx.publish(BotChanged(id=change_id, occurred_at=self.clock.now(), bot=entry))

    def _webhook_url(self, bot: RowMapping) -> str:
        return f"{self.public_url}/api/v1/bots/webhook/master/{bot['master_webhook_path']}"

    def _view(self, bot: RowMapping, user: Identity) -> PublicBot:
        if user.is_admin:
            return Bot.model_validate({**bot, "webhook_url": self._webhook_url(bot)})
        return PublicBot.model_validate(dict(bot))


def _new_secret() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(24))


def _told(bot: RowMapping, given: SecretStr | None, secret: SecretStr) -> dict[str, Any]:
    """What an answer tells of a secret: the made one, never the given one."""
    made = None if given else secret
    plain = made.get_secret_value() if made else None
    return {"bot_id": bot["id"], "alert_message": alert_message(made), "master_secret": plain}


def _path_taken() -> Problem:
    return Problem(409, "webhook_path_taken", "Another bot has this path; choose another.", field="master_webhook_path")
