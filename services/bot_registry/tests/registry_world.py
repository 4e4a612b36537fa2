"""A running bot registry over a real database, its HTTP over real connections, and what it published."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.bot_registry import app as registry_app
from services.bot_registry.settings import Settings
from services.bot_registry.store import users
from shared import sealing
from shared.bus import Envelope, Handler, Queue
from shared.clock import SystemClock
from shared.contracts import Message, parse
from shared.db.database import Database
from shared.service import State
from shared.web import server
from shared.web.auth import Identity, Role, TokenVerifier

MessageT = TypeVar("MessageT", bound=Message)

SERVICE_TOKEN = "a-service-token-of-good-length"
EXECUTOR_KEY = sealing.new_key()
ADMIN_PASSWORD = "correct horse battery"


class RecordingBus:
    """Keeps what is published, for tests to look at."""

    gives_receipts = False

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        for envelope in envelopes:
            self._arrived.put_nowait(parse(envelope.type, envelope.body))

    @asynccontextmanager
    async def consuming(self, queue: Queue, handler: Handler) -> AsyncIterator[None]:
        yield

    def waiting_for(self) -> str | None:
        return None

    async def next(self, kind: type[MessageT]) -> MessageT:
        """The next message of this kind; others before it are passed over."""
        async with asyncio.timeout(10):
            while not isinstance(message := await self._arrived.get(), kind):
                pass
        return message


@dataclass
class FakeExchange:
    """Answers about keys as Binance does; checks signatures with code of its own."""

    secrets: dict[str, str] = field(default_factory=dict)
    rights: dict[str, Any] = field(default_factory=dict)
    ahead_ms: int = 0
    broken: bool = False
    base_url: str = ""

    def _now_ms(self) -> int:
        return int(SystemClock().now().timestamp() * 1000) + self.ahead_ms

    async def _time(self, _request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self._now_ms()})

    async def _rights(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=502, text="<html>bad gateway</html>")
        secret = self.secrets.get(request.headers.get("X-MBX-APIKEY", ""))
        if secret is None:
            return web.json_response({"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, status=401)
        signed, _, signature = request.query_string.partition("&signature=")
        if abs(int(request.query["timestamp"]) - self._now_ms()) > int(request.query["recvWindow"]):
            return web.json_response({"code": -1021, "msg": "Timestamp outside of the recvWindow."}, status=400)
        if hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest() != signature:
            return web.json_response({"code": -1022, "msg": "Signature is not valid."}, status=400)
        return web.json_response(self.rights)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/sapi/v1/account/apiRestrictions", self._rights)
        application.router.add_get("/fapi/v1/accountConfig", self._rights)
        application.router.add_get("/fapi/v1/time", self._time)
        application.router.add_get("/api/v3/time", self._time)
        return application


@dataclass
class Answer:
    status: int
    body: Any
    text: str


@dataclass
class Registry:
    """The running service, and callers of each kind."""

    client: TestClient[web.Request, web.Application]
    database: Database
    bus: RecordingBus
    settings: Settings

    async def user(self, role: Role) -> "Caller":
        """A new user of this role."""
        name = base64.b32encode(os.urandom(5)).decode().lower()
        async with self.database.transaction() as tx:
            user_id = await users.add(tx.connection, f"{name}@example.com", "no hash", role, SystemClock().now())
        return Caller(self, user_id, role)

    async def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = body if isinstance(body, str | None) else None
        json = None if isinstance(body, str | None) else body
        async with self.client.request(method, path, json=json, data=data, headers=headers) as response:
            text = await response.text()
            return Answer(response.status, await response.json(content_type=None) if text else None, text)


@dataclass
class Caller:
    registry: Registry
    user_id: UUID
    role: Role

    async def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        issuer = registry_app.issuer(self.registry.settings)
        token = issuer.issue(Identity(self.user_id, self.role), SystemClock().now())
        return await self.registry.call(method, f"/api/v1{path}", body, token)


def with_admin(settings: Settings, password: str = ADMIN_PASSWORD) -> Settings:
    """The same settings with a first administrator."""
    admin = {"admin_email": "Admin@Example.com", "admin_password": password}
    return Settings.model_validate(settings.model_dump() | admin)


@asynccontextmanager
async def running(settings: Settings, database: Database) -> AsyncIterator[Registry]:
    bus = RecordingBus()
    service = registry_app.build(settings, database, bus, SystemClock())
    verifier = TokenVerifier(registry_app.issuer(settings).public_key)
    async with AsyncExitStack() as stack:
        for part in service.parts:
            await stack.enter_async_context(part())
        served = TestServer(server.application([State(service)], verifier))
        yield Registry(await stack.enter_async_context(TestClient(served)), database, bus, settings)
