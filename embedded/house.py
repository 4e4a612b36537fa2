"""Puts all rooms into one process: one bus, one SQLite file per service, one port, and the paper exchange beside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from embedded.settings import Settings
from services.bot_registry import app as bot_registry
from services.bot_registry.dispatcher import app as dispatcher
from services.bot_registry.settings import Settings as BotRegistrySettings
from services.executor import app as executor
from services.executor.settings import Settings as ExecutorSettings
from services.executor.watcher import app as watcher
from services.ledger import app as ledger
from services.ledger.settings import Settings as LedgerSettings
from services.paper_exchange import app as paper_exchange
from services.paper_exchange.settings import Settings as PaperExchangeSettings
from services.webhook_gateway import app as webhook_gateway
from services.webhook_gateway.settings import Settings as GatewaySettings
from services.webhook_gateway.snapshot import from_registry
from shared import keys
from shared.bus import Bus
from shared.bus.inprocess import InProcessBus
from shared.clock import SystemClock
from shared.db import migrate
from shared.db.database import Database
from shared.service import Service

SCHEMAS = {"bot_registry": "registry", "executor": "executor", "ledger": "ledger"}


def build(settings: Settings, bus: Bus | None = None) -> list[Service]:
    """All services, in the order in which they start; over `bus`, where another than the plain one is wanted."""
    own = keys.load_or_make(settings.data_dir)
    bus, clock = bus or InProcessBus(), SystemClock()
    databases = {
        service: Database(f"sqlite+aiosqlite:///{settings.data_dir / service}.db", schema)
        for service, schema in SCHEMAS.items()
    }
    url = f"http://{settings.host}:{settings.port}"
    paper_url = settings.paper_exchange_url or f"http://{settings.host}:{settings.port + 1}"
    common = {"host": settings.host, "port": settings.port}
    registry_settings = BotRegistrySettings.model_validate(
        common
        | {
            "public_url": settings.public_url or url,
            "service_token": own["SERVICE_TOKEN"],
            "webhook_secret_keys": own["WEBHOOK_SECRET_KEYS"],
            "token_private_key": own["TOKEN_PRIVATE_KEY"],
            "sealing_public_key": own["SEALING_PUBLIC_KEY"],
            "admin_email": settings.admin_email,
            "admin_password": settings.admin_password,
            "paper_exchange_url": paper_url,
            "live_trading": settings.allow_live_trading,
        }
    )
    executor_settings = ExecutorSettings.model_validate(
        common
        | {
            "sealing_private_keys": own["SEALING_PRIVATE_KEYS"],
            "paper_exchange_url": paper_url,
            "live_trading": settings.allow_live_trading,
            "redis_url": settings.redis_url,
            "egress_shares": 2,  # the executor and the watcher
        }
    )
    gateway_settings = GatewaySettings.model_validate(
        common
        | {
            "webhook_secret_keys": own["WEBHOOK_SECRET_KEYS"],
            "trusted_proxies": settings.trusted_proxies,
            "redis_url": settings.redis_url,
        }
    )
    snapshot = from_registry(url, registry_settings.service_token)
    return [
        Service("house", [lambda: _migrated(databases), bus.running, lambda: _paper_exchange(settings)]),
        ledger.build(LedgerSettings.model_validate(common), databases["ledger"], bus, clock),
        executor.build(executor_settings, databases["executor"], bus, clock),
        watcher.build(executor_settings, databases["executor"], bus, clock),
        bot_registry.build(registry_settings, databases["bot_registry"], bus, clock),
        dispatcher.build(databases["bot_registry"], bus, clock),
        webhook_gateway.build(gateway_settings, bus, clock, snapshot),
    ]


@asynccontextmanager
async def _migrated(databases: dict[str, Database]) -> AsyncIterator[None]:
    for service, database in databases.items():
        await migrate.upgrade(database, service)
    yield


@asynccontextmanager
async def _paper_exchange(settings: Settings) -> AsyncIterator[None]:
    """Our own paper exchange on the next port, unless another one was named."""
    if settings.paper_exchange_url is not None:
        yield
        return
    app = paper_exchange.build(PaperExchangeSettings(data_dir=settings.data_dir))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port + 1).start()
        yield
    finally:
        await runner.cleanup()
