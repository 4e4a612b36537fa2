"""Puts a watcher together."""

from datetime import timedelta

from services.executor.app import open_egress, open_exchanges, pauses
from services.executor.reconcile import Reconciler
from services.executor.settings import Settings
from services.executor.store import Store
from services.executor.watcher.watch import Watcher
from shared.bus import Bus
from shared.clock import Clock
from shared.db.database import Database
from shared.db.outbox import Relay
from shared.sealing import Opener
from shared.service import Service


def build(settings: Settings, database: Database, bus: Bus, clock: Clock) -> Service:
    """A watcher over the executors' database; whoever runs it runs the bus."""
    store = Store(database, clock, timedelta(0))
    egress = open_egress(settings)
    exchanges = open_exchanges(settings, clock, egress)
    opener = Opener(settings.sealing_private_keys.get_secret_value())
    watcher = Watcher(exchanges, opener, store, Reconciler(store, beside_the_lanes=True))
    return Service(
        name="watcher",
        parts=(
            database.running,
            Relay(database, bus, clock, settings.ask_again_after_s).running,  # an executor hears the receipts
            egress.running,
            *(exchange.running for exchange in exchanges.values()),
            watcher.running,
        ),
        waiting_for=(database.waiting_for,),
        remarks=lambda: pauses(exchanges),
    )
