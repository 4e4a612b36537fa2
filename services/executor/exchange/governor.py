"""Keeps the requests to one exchange within its limits, and obeys when it asks for quiet all the same.

Reads cost weight, of which there is so much a minute for the address; new orders cost none and never wait for it.
What a read may use depends on how urgent it is (`budget.Urgency`). One that must wait for longer than a moment is
`Held` instead: its execution lets go of the row until then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge

from services.executor.exchange.budget import (
    LATE_MS,
    MINUTE_MS,
    Limits,
    Urgency,
    cap,
    full_for_ms,
    until_next,
    wait_ms,
)
from services.executor.exchange.egress import Egress, Pause
from shared.service import background

_PAUSED = "Binance asked for a pause: too many requests"
_BANNED = "Binance has shut our address out for a while: too many requests"
_PATIENCE_MS = 1_000
_BACKGROUND_PATIENCE_MS = 10_000
_AGAIN_MS = 10
_FOLLOW_EVERY_S = 0.5
_PROBE_EVERY_MS = 1_000
_BAN_MIN_MS = 120_000  # "General Info": from 2 minutes to 3 days
_BLOCKS, _BLOCK_MAX = 50, 100  # so many reservations use up a minute; near its end they are as small as the request

log = structlog.get_logger()
_used = Gauge("tradecast_request_weight_used", "weight used in the minute, as the exchange tells it", ["pool"])
_waits = Counter("tradecast_request_waits_total", "reads that waited for weight", ["pool", "urgency"])
_held = Counter("tradecast_requests_held_total", "requests not sent, for weight, a pause or a ban", ["pool", "why"])
_paused = Counter("tradecast_exchange_paused_seconds_total", "asked for by the exchange (429, 418)", ["pool", "status"])

_urgency: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.READ)


@contextmanager
def urgent(urgency: Urgency) -> Iterator[None]:
    """Reads within the block, and in tasks that it starts, are so urgent."""
    token = _urgency.set(urgency)
    try:
        yield
    finally:
        _urgency.reset(token)


class Held(Exception):
    """The request was not sent and should not be for `wait_ms`; `banned`: nor should anything else."""

    def __init__(self, message: str, wait_ms: int, *, banned: bool = False) -> None:
        super().__init__(message)
        self.wait_ms = wait_ms
        self.banned = banned


@dataclass(slots=True)
class _Minute:
    """What is known of the weight of a minute: `own` of this process, `others` by what the exchange tells of all.

    `reserved` of this process is not used yet, out of `shared`, which is what all have reserved.
    """

    number: int = -1
    own: int = 0
    others: int = 0
    shared: int = 0
    reserved: int = 0

    def has_reserved(self, weight: int, most: int) -> bool:
        """Whether this process may take the weight out of its own, without more than `most` being used by all."""
        return self.reserved >= weight and self.shared - self.reserved + weight <= most


class Governor:
    """The limits of one pool: of a market at one host, from this address."""

    def __init__(self, egress: Egress, pool: str, limits: Limits, now_ms: Callable[[], int]) -> None:
        """`pool` names the market and the host; `limits` hold until the exchange tells its own.

        `now_ms` is the exchange's time.
        """
        self.limits = limits
        self.pause = Pause()
        self._egress = egress
        self._pool = pool
        self._now_ms = now_ms
        self._minute = _Minute()
        self._late = 0  # used shortly before the minute's end
        self._full_until_ms: dict[int, int] = {}  # accounts that may order no more for now
        self._probe_at_ms = 0
        self._reserving = asyncio.Lock()
        self._queue = asyncio.Lock()
        self._in_use = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Learn of the pauses that others were told, for the length of the block."""
        if not self._egress.has_redis:
            yield
            return
        async with background(f"executor.governor.{self._pool}", self._follow):
            yield

    async def _follow(self) -> None:
        await self._in_use.wait()
        while True:
            self._adopt(await self._egress.pause(self._pool))
            await asyncio.sleep(_FOLLOW_EVERY_S)

    async def read(self, weight: int) -> None:
        """Return when there is weight for a read, which is used up by then. Raises Held."""
        self._in_use.set()
        urgency = _urgency.get()
        if urgency is not Urgency.BACKGROUND:
            await self._wait_for(weight, urgency)
            return
        try:  # one after another, so that who waited longest goes first
            async with asyncio.timeout(_BACKGROUND_PATIENCE_MS / 1000), self._queue:
                await self._wait_for(weight, urgency)
        except TimeoutError:
            raise self._hold("weight", "No request weight is left for what nobody waits for", 0) from None

    def order(self, account: int) -> None:
        """Whether an account's new order may go. Raises Held in a ban, and while the account may order no more.

        While orders too were answered with 429, one a second finds out whether they are taken again.
        """
        self._in_use.set()
        now_ms = self._now_ms()
        full_until_ms = self._full_until_ms.get(account, 0)
        if now_ms < full_until_ms:
            raise self._hold("orders", "The account has placed as many orders as Binance allows", full_until_ms)
        if not self.is_paused:
            return
        if self.pause.banned:
            raise self._hold("ban", _BANNED, self.pause.until_ms, banned=True)
        if now_ms < self._probe_at_ms:
            raise self._hold("pause", _PAUSED, self._probe_at_ms)
        if self._probe_at_ms:
            self._probe_at_ms = now_ms + _PROBE_EVERY_MS

    def heard(self, headers: Mapping[str, str], account: int | None, sent_ms: int) -> None:
        """Learn from an answer what is used, by its headers in lower case."""
        now_ms = self._now_ms()
        used = headers.get("x-mbx-used-weight-1m", "")
        # in the minute's first second it may still tell of the one before
        if used.isdigit() and sent_ms // MINUTE_MS == now_ms // MINUTE_MS and sent_ms % MINUTE_MS >= LATE_MS:
            minute = self._this_minute(now_ms)
            minute.others = max(minute.others, int(used) - minute.own)
            _used.labels(self._pool).set(int(used))
        if account is not None and (full_ms := full_for_ms(headers, self.limits.orders, now_ms)):
            self._account_full(account, now_ms + full_ms)

    def taken(self) -> None:
        """An order was not answered with 429: orders are taken."""
        self._probe_at_ms = 0

    def too_many_orders(self, account: int, message: str) -> int:
        """-1015 of an account; how long it must wait, in milliseconds."""
        now_ms = self._now_ms()
        longest = MINUTE_MS if "MINUTE" in message.upper() else min(self.limits.orders)
        full_ms = until_next(longest, now_ms)
        self._account_full(account, now_ms + full_ms)
        return full_ms

    async def quiet(self, status: int, asked_ms: int, *, order: bool) -> int:
        """429 or 418 was the answer: pause, and tell the others; for how long, in milliseconds.

        `asked_ms` is 0 where the exchange did not say, as futures need not. A 429 ends with the exchange's minute.
        """
        now_ms = self._now_ms()
        banned = status == 418
        for_ms = asked_ms or (_BAN_MIN_MS if banned else until_next(MINUTE_MS, now_ms))
        if order:
            self._probe_at_ms = now_ms + _PROBE_EVERY_MS
        pause = Pause(now_ms + for_ms, banned)
        if self._adopt(pause):
            _paused.labels(self._pool, str(status)).inc(for_ms / 1000)
            log.warning("exchange_asked_for_quiet", pool=self._pool, status=status, for_s=for_ms / 1000)
            await self._egress.tell(self._pool, pause, for_ms)
        return for_ms

    @property
    def is_paused(self) -> bool:
        """Whether the exchange asked to be left alone: nothing but an order is sent."""
        return self._now_ms() < self.pause.until_ms

    def _adopt(self, pause: Pause | None) -> bool:
        """Whether the pause is news: a ban outdoes a pause, the later end the earlier one."""
        if pause is None or pause.until_ms <= self._now_ms():
            return False
        held = self.pause if self.is_paused else Pause()
        # answers to requests that were under way together ask for the same pause
        if (pause.banned, pause.until_ms - 1_000) < (held.banned, held.until_ms):
            return False
        self.pause = pause
        return True

    async def _wait_for(self, weight: int, urgency: Urgency) -> None:
        waited_ms, patience_ms = 0, _BACKGROUND_PATIENCE_MS if urgency is Urgency.BACKGROUND else _PATIENCE_MS
        while True:
            now_ms = self._now_ms()
            if now_ms < self.pause.until_ms:
                why, message = ("ban", _BANNED) if self.pause.banned else ("pause", _PAUSED)
                raise self._hold(why, message, self.pause.until_ms, banned=self.pause.banned)
            pause_ms = await self._take(weight, urgency, now_ms)
            if pause_ms == 0:
                return
            if waited_ms + pause_ms > patience_ms:
                raise self._hold("weight", "The minute's request weight is used up", now_ms + pause_ms)
            if not waited_ms:
                _waits.labels(self._pool, urgency.name.lower()).inc()
            waited_ms += pause_ms
            await asyncio.sleep(pause_ms / 1000)

    async def _take(self, weight: int, urgency: Urgency, now_ms: int) -> int:
        """Use weight of this minute; 0 when that is done, else after how many milliseconds to ask again."""
        minute, late = self._this_minute(now_ms), now_ms % MINUTE_MS >= MINUTE_MS - LATE_MS
        most = cap(self.limits.weight, urgency, now_ms)
        if not late and minute.has_reserved(weight, most):
            minute.reserved -= weight
        elif self._egress.is_shared:
            async with self._reserving:
                if not late and minute.has_reserved(weight, most):  # by whoever was before us
                    minute.reserved -= weight
                elif (pause_ms := await self._reserve(minute, weight, urgency, now_ms, late=late)) != 0:
                    return pause_ms
        elif (pause_ms := self._wait_alone(minute, weight, urgency, now_ms)) != 0:
            return pause_ms
        minute.own += weight
        if late:
            self._late += weight
        return 0

    def _wait_alone(self, minute: _Minute, weight: int, urgency: Urgency, now_ms: int) -> int:
        share = max(1, self.limits.weight // self._egress.shares)
        # what others had reserved before the counter went away, and what the exchange tells
        others = max(minute.others, minute.shared - minute.own - minute.reserved)
        return max(
            wait_ms(minute.own, weight, share, urgency, now_ms),
            wait_ms(minute.own + others, weight, self.limits.weight, urgency, now_ms),
        )

    async def _reserve(self, minute: _Minute, weight: int, urgency: Urgency, now_ms: int, *, late: bool) -> int:
        """Reserve for this request and for some that follow, out of what all share."""
        limit = self.limits.weight
        most = cap(limit, urgency, now_ms)
        ahead = 0 if late else max(0, min(_BLOCK_MAX, limit // _BLOCKS, (most - minute.shared) // 10))
        reserved = await self._egress.reserve(
            self._pool,
            minute.number,
            used=minute.own + minute.others,
            want=weight + ahead,
            least=weight,
            cap=most,
            late=late,
        )
        if reserved is None:
            return self._wait_alone(minute, weight, urgency, now_ms)
        minute.shared = reserved.used
        if reserved.granted >= weight:
            minute.reserved += reserved.granted - weight
            return 0
        return max(_AGAIN_MS, wait_ms(reserved.used, weight, limit, urgency, now_ms))

    def _this_minute(self, now_ms: int) -> _Minute:
        if now_ms // MINUTE_MS > self._minute.number:  # who has waited meanwhile may still be in the one before
            # what left in the last moment of the minute before may be counted in this one
            carried = self._late if self._minute.number == now_ms // MINUTE_MS - 1 else 0
            self._minute, self._late = _Minute(now_ms // MINUTE_MS, own=carried), 0
            self._full_until_ms = {key: end for key, end in self._full_until_ms.items() if end > now_ms}
        return self._minute

    def _account_full(self, account: int, until_ms: int) -> None:
        self._full_until_ms[account] = max(until_ms, self._full_until_ms.get(account, 0))

    def _hold(self, why: str, message: str, until_ms: int, *, banned: bool = False) -> Held:
        _held.labels(self._pool, why).inc()
        return Held(message, max(1, until_ms - self._now_ms()), banned=banned)
