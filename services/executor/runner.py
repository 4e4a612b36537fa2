"""Claims due executions and drives each: decide, save, act, observe, again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.executor import why
from services.executor.machine import decide
from services.executor.perform import Performer
from services.executor.state import Decision, End, Finished, Observation, Phase, Refused, Sleep, Unserved, Woke
from services.executor.store import Claimed, Store
from services.executor.timing import Timing
from shared.clock import Clock
from shared.errors import Transient
from shared.service import background

_IN_FLIGHT_MAX = 2_000
_CLAIM_MAX = 500
_POLL_S = 1.0
_DRAIN_WITHIN_S = 18.0

log = structlog.get_logger()
_in_flight = Gauge("tradecast_executor_in_flight", "executions being driven by this process")
_finished = Counter("tradecast_executions_finished_total", "executions ended", ["status", "code"])
_naked = Histogram(
    "tradecast_naked_seconds",
    "fill to stop-loss acknowledged",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
_unresolved = Counter("tradecast_needs_attention_total", "askings in vain after an outcome was unknown for long")
_stood_down = Counter("tradecast_executor_stood_down_total", "executions found taken over by another executor")


class Runner:
    """Drives executions, as many at once as there are."""

    def __init__(self, store: Store, performer: Performer, clock: Clock, timing: Timing) -> None:
        self._store = store
        self._performer = performer
        self._clock = clock
        self._timing = timing
        self._bell = asyncio.Event()
        self._driven: set[asyncio.Task[None]] = set()

    def ring(self) -> None:
        """Look for due rows now."""
        self._bell.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Drive for the length of the block; at its end nothing new is claimed and what is begun is finished."""
        async with background("executor.runner", self._run):
            yield
        if self._driven:
            await asyncio.wait(self._driven, timeout=_DRAIN_WITHIN_S)
        for task in self._driven:  # as if we had crashed here: the lease ends and another executor asks the exchange
            task.cancel()
        await asyncio.gather(*self._driven, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            free = min(_IN_FLIGHT_MAX - len(self._driven), _CLAIM_MAX)
            claimed = await self._store.claim_due(free) if free > 0 else []
            for row in claimed:
                task = asyncio.create_task(self._drive(row))
                self._driven.add(task)
                task.add_done_callback(self._driven.discard)
            _in_flight.set(len(self._driven))
            if len(claimed) < free or free <= 0:
                await self._wait()

    async def _wait(self) -> None:
        wake_at = await self._store.next_wake_at()
        pause_s = _POLL_S
        if wake_at is not None:
            pause_s = min(_POLL_S, max(0.005, (wake_at - self._clock.now()).total_seconds()))
        try:
            async with asyncio.timeout(pause_s):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def _drive(self, row: Claimed) -> None:
        bound = log.bind(execution_id=str(row.work.job.execution_id), signal_id=str(row.work.signal.signal_id))
        try:
            await self._advance(row)
        except Transient as error:
            bound.warning("execution_interrupted", reason=str(error))
        except Exception:  # noqa: BLE001 - logged with its traceback
            # the row's lease ends and it is tried again: a bug blocks one lane, and is heard
            bound.exception("execution_broke")
        self.ring()

    async def _advance(self, row: Claimed) -> None:
        exchange = self._performer.exchange(row.work.job)
        observation: Observation = Woke()
        if exchange is None:
            is_begun = row.state.phase not in (Phase.QUEUED, Phase.PREPARING)
            unavailable = Refused(why.environment_unavailable(row.work.job.environment))
            observation = Unserved() if is_begun else unavailable
        while True:
            now_ms = exchange.now_ms() if exchange else round(self._clock.now().timestamp() * 1000)
            decision = decide(row.work, row.state, observation, now_ms, self._timing)
            if decision.must_be_stored:
                if not await self._store.save(row, decision, now_ms):
                    _stood_down.inc()
                    return
                _count(decision)
            row.state = decision.state
            if (attention := row.state.attention) is not None and isinstance(decision.effect, Sleep):
                _unresolved.inc()
                log.error(
                    "execution_needs_attention",
                    execution_id=str(row.work.job.execution_id),
                    doubt=attention.doubt,
                    client_order_id=attention.client_id,
                )
            if isinstance(decision.effect, Sleep | End):
                return
            if exchange is None:
                observation = Unserved()  # a person's word led to a step that needs the exchange
                continue
            observation = await self._performer.perform(exchange, row.work, decision.effect)


def _count(decision: Decision) -> None:
    for fact in decision.facts:
        if isinstance(fact, Finished):
            failure, naked_ms = fact.trade.failure, fact.trade.naked_ms
            _finished.labels(failure.status if failure else "success", failure.code if failure else "").inc()
            if naked_ms is not None:
                _naked.observe(naked_ms / 1000)
