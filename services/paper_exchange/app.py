"""The composition root: the whole exchange as one aiohttp application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.paper_exchange.controls import Controls
from services.paper_exchange.feed import Feed, read_feed
from services.paper_exchange.followers import Followers
from services.paper_exchange.futures.model import Market
from services.paper_exchange.futures.symbols import SYMBOLS
from services.paper_exchange.http import Gate
from services.paper_exchange.keyring import Keyring
from services.paper_exchange.prices import Prices
from services.paper_exchange.settings import Settings
from services.paper_exchange.spot.model import Market as SpotMarket
from services.paper_exchange.store import SAVE_EVERY_S, Store
from services.paper_exchange.stream import Hub
from services.paper_exchange.websocket_api import WebsocketApi

FIRST_ID, FIRST_SPOT_ID = 30_000_000_000, 6_000_000_000
EXPIRE_EVERY_S = 5
GATE = web.AppKey("gate", Gate)
log = structlog.get_logger()


def now_ms() -> int:
    """UTC epoch milliseconds of this machine."""
    return time.time_ns() // 1_000_000


def build(settings: Settings, clock: Callable[[], int] = now_ms) -> web.Application:
    """Make the exchange. State begins empty, or with what DATA_DIR holds once the application starts.

    `clock` tells UTC epoch milliseconds. The caller runs it in an AppRunner; nothing is opened before start-up.
    """
    market = Market({name: symbol.start_price for name, symbol in SYMBOLS.items()}, FIRST_ID)
    hub = Hub(clock)
    spot_market = SpotMarket(market.prices, market.books, FIRST_SPOT_ID)
    gate = Gate(
        market, spot_market, Keyring(), hub, Followers(hub.faults), clock, enforce_weight=settings.paper_enforce_weight
    )
    app = web.Application(client_max_size=1 << 20)
    app[GATE] = gate
    controls = Controls(gate)
    app.add_routes(controls.routes())
    for root in ("/private", "/market", "/public", ""):
        for path in ("/ws", "/ws/{listen_key}", "/stream"):
            app.router.add_get(root + path, hub.serve)
    app.router.add_get("/ws-api/v3", WebsocketApi(gate).serve)
    for prefix in ("/fapi", "/api", "/sapi"):
        app.router.add_route("*", prefix + "/{rest:.*}", gate.serve)
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", _alive)
    app.router.add_get("/metrics", _metrics)
    app.cleanup_ctx.append(_keep_listen_keys)
    if settings.data_dir is not None:
        app.cleanup_ctx.append(_keep_state(settings.data_dir))
    app.cleanup_ctx.append(_play(controls.prices, read_feed(settings.paper_prices)))
    app.on_shutdown.append(_stop)
    return app


async def _alive(_request: web.Request) -> web.Response:
    """Alive, and ready as soon as it answers: it waits for nothing."""
    return web.json_response({"status": "ok"})


async def _metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[GATE].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _stop(app: web.Application) -> None:
    """Let silent connections and sockets go, so that stopping does not wait for them."""
    app[GATE].stopping.set()
    app[GATE].hub.shut()
    app[GATE].followers.shut(app[GATE].clock())


async def _keep_listen_keys(app: web.Application) -> AsyncIterator[None]:
    """End listen keys whose 60 minutes are over, as long as the application runs."""

    async def expire() -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            app[GATE].hub.expire()

    task = asyncio.create_task(expire())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _play(prices: Prices, feed: Feed | None) -> Callable[[web.Application], AsyncIterator[None]]:
    """Play the feed of PAPER_PRICES, and stop whichever plays at the end."""

    async def play(_: web.Application) -> AsyncIterator[None]:
        if feed is not None:
            await prices.play(feed)
        yield
        await prices.stop()

    return play


def _keep_state(folder: Path) -> Callable[[web.Application], AsyncIterator[None]]:
    """Load the snapshot at start-up, save changes while running and once more at the end."""

    async def keep(app: web.Application) -> AsyncIterator[None]:
        gate, store = app[GATE], Store(folder)
        log.info("snapshot_loaded", accounts=store.load(gate.market, gate.spot_market, gate.keyring))

        async def save() -> None:
            # Ends by itself after on_shutdown: cancelling would let go of a write that is still running in its thread.
            while not gate.stopping.is_set():
                await asyncio.sleep(SAVE_EVERY_S)
                if gate.changed:
                    await store.save(gate.market, gate.spot_market, gate.keyring, gate.changed)

        saver = asyncio.create_task(save())
        yield
        gate.stopping.set()
        await saver
        await store.save(gate.market, gate.spot_market, gate.keyring, gate.changed)
        store.close()

    return keep
