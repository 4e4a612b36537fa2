"""Puts the dispatcher together."""

import random

from services.bot_registry.dispatcher.consume import Dispatcher
from shared.bus import Bus
from shared.bus.topology import SIGNALS
from shared.clock import Clock
from shared.db.database import Database
from shared.db.outbox import Relay
from shared.service import Service


def build(database: Database, bus: Bus, clock: Clock) -> Service:
    """The dispatcher over the database that it shares with the HTTP side, and a bus that its owner runs."""
    dispatcher = Dispatcher(database, clock, random.SystemRandom().shuffle)
    relay = Relay(database, bus, clock)

    return Service(
        name="bot_registry.dispatcher",
        parts=[database.running, relay.running, lambda: bus.consuming(SIGNALS, dispatcher.on_messages)],
        waiting_for=[database.waiting_for, bus.waiting_for],
    )
