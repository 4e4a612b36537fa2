"""Puts the HTTP process together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import stamina
import structlog
from aiohttp import web

from services.bot_registry import keycheck, passwords
from services.bot_registry.http.bots import BotRoutes
from services.bot_registry.http.directory import DirectoryRoute
from services.bot_registry.http.exchange_accounts import ExchangeAccountRoutes
from services.bot_registry.http.executions import ExecutionRoutes
from services.bot_registry.http.stops import StopRoutes
from services.bot_registry.http.subscriptions import SubscriptionRoutes
from services.bot_registry.http.users import UserRoutes
from services.bot_registry.key_digest import KeyDigest
from services.bot_registry.keycheck import KeyCheck
from services.bot_registry.settings import Settings
from services.bot_registry.store import Taken, users
from shared.bus import Bus
from shared.clock import Clock
from shared.contracts import Environment
from shared.db.database import Database
from shared.db.outbox import Relay
from shared.errors import Transient
from shared.sealing import Cipher, Sealer
from shared.service import Service
from shared.web.auth import Role, TokenIssuer
from shared.web.routes import mount

log = structlog.get_logger()

_TOKEN_LIFETIME = timedelta(hours=8)  # a working day; there is no renewal


def issuer(settings: Settings) -> TokenIssuer:
    """Who signs access tokens; its public key verifies them."""
    return TokenIssuer(settings.token_private_key.get_secret_value(), _TOKEN_LIFETIME)


def build(settings: Settings, database: Database, bus: Bus, clock: Clock) -> Service:
    """The HTTP side of the bot registry over a bus that its owner runs."""
    key_check = KeyCheck(_places(settings), clock)
    cipher = Cipher(settings.webhook_secret_keys.get_secret_value(), "bot_master_webhook")
    key_digest = KeyDigest(settings.webhook_secret_keys)
    sealer = Sealer(settings.sealing_public_key)
    routes = [
        *UserRoutes(database, clock, issuer(settings)).routes(),
        *BotRoutes(database, clock, cipher, settings.public_url).routes(),
        *ExchangeAccountRoutes(database, clock, key_check, key_digest, sealer, settings.live_trading).routes(),
        *SubscriptionRoutes(database, clock).routes(),
        *StopRoutes(database, clock).routes(),
        *ExecutionRoutes(database, clock).routes(),
    ]

    def serve(app: web.Application) -> None:
        mount(app, routes)
        DirectoryRoute(database, settings.service_token).mount(app)

    return Service(
        name="bot_registry",
        parts=[
            database.running,
            lambda: first_administrator(settings, database, clock),
            Relay(database, bus, clock, settings.ask_again_after_s).running,
            key_check.running,
        ],
        waiting_for=[database.waiting_for],  # not the bus: without it the outbox waits,
        mount=serve,
    )


def _places(settings: Settings) -> dict[Environment, keycheck.Place]:
    places: dict[Environment, keycheck.Place] = {
        "live": keycheck.live(settings.binance_spot_url),
        "testnet": keycheck.testnet(settings.binance_testnet_futures_url),
    }
    if settings.paper_exchange_url is not None:
        places["paper"] = keycheck.paper(settings.paper_exchange_url)
    return places


@asynccontextmanager
async def first_administrator(settings: Settings, database: Database, clock: Clock) -> AsyncIterator[None]:
    """Before the block: the administrator of ADMIN_EMAIL exists. One that is there already keeps its password."""
    if settings.admin_email is not None and settings.admin_password is not None:
        hashed = await passwords.hash_of(settings.admin_password)
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_max=5.0):
            with attempt:
                try:
                    async with database.transaction() as tx:
                        await users.add(tx.connection, settings.admin_email, hashed, Role.ADMIN, clock.now())
                    log.info("administrator_created", email=settings.admin_email)
                except Taken:
                    pass
    yield
