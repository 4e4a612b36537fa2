"""Puts the dispatcher together."""

import random

from services.bot_registry.dispatcher.consume import Dispatcher
from shared.bus import Bus
from shared.bus.topology import REGISTRY_RECEIPTS, SIGNALS
from shared.clock import Clock
from shared.db.database import Database
from shared.db.outbox import Relay, on_receipts
from shared.service import Service


def build(database: Database, bus: Bus, clock: Clock, ask_again_after_s: float = 60.0) -> Service:
    """The dispatcher over the database that it shares with the HTTP side, and a bus that its owner runs.

    It hears the receipts for both.
    """
    dispatcher = Dispatcher(database, clock, random.SystemRandom().shuffle)
    relay = Relay(database, bus, clock, ask_again_after_s)

    return Service(
        name="bot_registry.dispatcher",
        parts=[
            database.running,
            relay.running,
            lambda: bus.consuming(REGISTRY_RECEIPTS, on_receipts(database)),
            lambda: bus.consuming(SIGNALS, dispatcher.on_messages),
        ],
        waiting_for=[database.waiting_for, bus.waiting_for],
    )
