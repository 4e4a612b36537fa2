"""Looks at every open position again and again: cheaply by its protections, thoroughly now and then.

A protection that fires or goes with its position is missed within seconds for one unit of request weight. A position
closed by hand whose protections stay (they are bound to a quantity) is missed only by the thorough look, which costs
six. All of it waits for request weight that nothing else needs (`Urgency.BACKGROUND`): the more positions there are,
the rarer each is looked at, the one that waited longest first.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.executor.exchange.budget import Urgency
from services.executor.exchange.client import Failed
from services.executor.exchange.governor import urgent
from services.executor.exchange.market import Market
from services.executor.reconcile import Reconciler
from services.executor.store import Held, Store
from shared.contracts import Environment, MarketType
from shared.errors import Transient
from shared.sealing import CannotOpen, Opener
from shared.service import background

_EVERY = timedelta(seconds=4)
_THOROUGH_EVERY = 6  # looks
_AT_ONCE_MAX = 50
_REMEMBERED_MAX = 100_000
_PAUSE_S = 0.5

log = structlog.get_logger()
_looks = Counter("tradecast_watcher_looks_total", "looks at open positions", ["outcome"])


class Watcher:
    """Watches the positions of all accounts; several watchers share them by leases."""

    def __init__(
        self,
        exchanges: Mapping[tuple[Environment, MarketType], Market],
        opener: Opener,
        store: Store,
        reconciler: Reconciler,
    ) -> None:
        self._exchanges = exchanges
        self._opener = opener
        self._store = store
        self._reconciler = reconciler
        self._looked: dict[UUID, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for the length of the block."""
        async with background("executor.watcher", self._run):
            yield

    async def _run(self) -> None:
        while True:
            due = await self._store.due_positions(_AT_ONCE_MAX, _EVERY)
            with urgent(Urgency.BACKGROUND):
                asked = await asyncio.gather(*(self._look(held) for held in due))
            if len(due) < _AT_ONCE_MAX or not any(asked):
                await asyncio.sleep(_PAUSE_S)

    async def _look(self, held: Held) -> bool:
        """Whether the exchange could be asked."""
        job = held.work.job
        exchange = self._exchanges.get((job.environment, job.config.market_type))
        if exchange is None or exchange.is_paused:
            return False
        try:
            credentials = self._opener.open(job.sealed_credentials, job.exchange_account_id)
            if held.position.protections and not self._is_due_thoroughly(held):
                standing = await exchange.open_protections(credentials, held.position.symbol)
                if all(name in standing for _, name in held.position.protections):
                    return True
            stands = await self._reconciler.check(exchange, credentials, held)
            _looks.labels("stands" if stands else "gone").inc()
        except (Failed, CannotOpen, Transient) as error:
            is_held = isinstance(error, Failed) and error.is_held
            _looks.labels("held" if is_held else "failed").inc()
            if not is_held:
                log.warning("position_not_looked_at", position_id=str(held.position.id), reason=str(error))
            return not is_held
        return True

    def _is_due_thoroughly(self, held: Held) -> bool:
        """Every sixth look of a position, however rare they are; each position begins elsewhere in the row."""
        if len(self._looked) > _REMEMBERED_MAX:
            self._looked.clear()
        key = held.position.id
        self._looked[key] = self._looked.get(key, key.int % _THOROUGH_EVERY) + 1
        return self._looked[key] % _THOROUGH_EVERY == 0
