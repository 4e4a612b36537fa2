"""Puts an executor together."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.executor.consume import on_jobs
from services.executor.exchange.egress import Egress
from services.executor.exchange.futures import Futures
from services.executor.exchange.market import Market
from services.executor.exchange.spot import Spot
from services.executor.perform import Performer
from services.executor.reconcile import Reconciler
from services.executor.runner import Runner
from services.executor.settings import Settings
from services.executor.stops import Stops
from services.executor.store import Store
from services.executor.timing import Timing
from shared.bus import Bus
from shared.bus.topology import EXECUTOR_RECEIPTS, JOBS
from shared.clock import Clock
from shared.contracts import Environment, MarketType
from shared.db.database import Database
from shared.db.outbox import Relay, on_receipts
from shared.sealing import Opener
from shared.service import Service


def build(settings: Settings, database: Database, bus: Bus, clock: Clock, timing: Timing | None = None) -> Service:
    """An executor over this database and bus; whoever runs it runs the bus."""
    timing = timing or Timing()
    lease = timedelta(milliseconds=settings.call_timeout_ms + timing.recv_window_ms + timing.lease_margin_ms)
    store = Store(database, clock, lease)
    egress = open_egress(settings)
    exchanges = open_exchanges(settings, clock, egress)
    opener = Opener(settings.sealing_private_keys.get_secret_value())
    stops = Stops(database, clock, settings.stop_entries_after_accounts)
    runner = Runner(store, Performer(exchanges, opener, store, Reconciler(store), stops), clock, timing)

    return Service(
        name="executor",
        parts=(
            database.running,
            Relay(database, bus, clock, settings.ask_again_after_s).running,
            lambda: bus.consuming(EXECUTOR_RECEIPTS, on_receipts(database)),
            egress.running,
            *(exchange.running for exchange in exchanges.values()),
            stops.running,
            runner.running,
            lambda: bus.consuming(JOBS, on_jobs(store, stops, runner.ring)),
        ),
        waiting_for=(database.waiting_for, bus.waiting_for),
        remarks=lambda: (*stops.remarks(), *pauses(exchanges)),
    )


def open_egress(settings: Settings) -> Egress:
    """The address that this process shares with others."""
    return Egress(settings.egress_address, settings.egress_shares, settings.redis_url)


def open_exchanges(settings: Settings, clock: Clock, egress: Egress) -> dict[tuple[Environment, MarketType], Market]:
    """One exchange per market and environment that may be traded in."""
    timeout_ms = settings.call_timeout_ms
    return {
        (environment, market): (Spot if market == "spot" else Futures)(url, clock, egress, timeout_ms=timeout_ms)
        for (environment, market), url in settings.bases().items()
    }


def pauses(exchanges: Mapping[tuple[Environment, MarketType], Market]) -> Sequence[str]:
    """A sentence per exchange that asked to be left alone."""
    asked = ((market, environment) for (environment, market), exchange in exchanges.items() if exchange.is_paused)
    return tuple(
        f"{market}, {environment}: Binance asked for a pause; executions wait" for market, environment in asked
    )
