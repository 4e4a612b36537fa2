"""The gateway's directory of all bots: internal, for holders of the service token, not part of the public API."""

import hmac
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel, SecretStr

from services.bot_registry.store import bots
from shared.contracts import BotEntry
from shared.db.database import Database
from shared.web.problems import Problem


class Directory(BaseModel):
    """Every bot there is, archived ones too: the gateway answers for them that they are not active."""

    bots: list[BotEntry]


@dataclass(frozen=True, slots=True)
class DirectoryRoute:
    """`GET /internal/v1/directory`."""

    database: Database
    service_token: SecretStr

    def mount(self, app: web.Application) -> None:
        """Serve it."""
        app.router.add_get("/internal/v1/directory", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """The directory; 401 without the service token."""
        expected = f"Bearer {self.service_token.get_secret_value()}"
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), expected.encode()):
            raise Problem(401, "not_authenticated", "This is for the system's own services.")
        async with self.database.transaction() as tx:
            entries = await bots.directory(tx.connection)
        return web.Response(text=Directory(bots=entries).model_dump_json(), content_type="application/json")
