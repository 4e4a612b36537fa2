"""The composition root of the ledger."""

from aiohttp import web

from services.ledger import attention
from services.ledger.consume import Facts
from services.ledger.feed import Feed
from services.ledger.http import Api
from services.ledger.settings import Settings
from services.ledger.store.reader import Reader
from shared.bus import Bus
from shared.bus.topology import LEDGER
from shared.clock import Clock
from shared.db.database import Database
from shared.db.outbox import Relay
from shared.service import Service
from shared.web import routes


def build(settings: Settings, database: Database, bus: Bus, clock: Clock) -> Service:
    """The ledger over a migrated database of schema `ledger` and a bus that the caller runs."""
    reader = Reader(database)
    feed = Feed(reader, settings.change_poll_ms)
    facts = Facts(database, clock, settings.ask_again_after_s, written=feed.ring)
    relay = Relay(database, bus, clock, settings.ask_again_after_s)
    api = Api(database, reader, feed, heartbeat_s=settings.stream_heartbeat_s)

    def mount(app: web.Application) -> None:
        routes.mount(app, api.routes())

    return Service(
        "ledger",
        parts=[
            database.running,
            relay.running,
            feed.running,
            lambda: attention.counting(reader),
            lambda: bus.consuming(LEDGER, facts.handle),
        ],
        waiting_for=[database.waiting_for, bus.waiting_for],
        mount=mount,
    )
