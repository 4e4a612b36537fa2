"""What the processes behind one address share of an exchange's limits: a counter per minute, and its pauses.

Shared through Redis where there is one. While it is away, each process has an equal share: a limit that is passed
pauses everybody, a Redis that is away must pause nobody.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.executor.exchange.budget import MINUTE_MS
from shared.clock import monotonic_ms

_WITHIN_S = 0.25
_AGAIN_AFTER_MS = 5_000

# Keys: this minute's counter and the next one's. Arguments: what is known to be used at least, what is wanted, the
# least that helps, the cap, whether the next minute is charged too, how long to keep it.
_RESERVE = """
local used = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
local granted = math.min(tonumber(ARGV[2]), tonumber(ARGV[4]) - used)
if granted < tonumber(ARGV[3]) then granted = 0 end
redis.call('SET', KEYS[1], used + granted, 'PX', ARGV[6])
if granted > 0 and ARGV[5] == '1' then
    redis.call('INCRBY', KEYS[2], granted)
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
end
return {granted, used + granted}
"""
# The later pause holds.
_PAUSE = """
local known = redis.call('GET', KEYS[1])
if known and tonumber(string.match(known, '%d+')) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pause:
    """Until when, in the exchange's milliseconds, it wants to be left alone; `banned`: by orders as well (418)."""

    until_ms: int = 0
    banned: bool = False


@dataclass(frozen=True, slots=True)
class Reserved:
    """`granted` of what was wanted, 0 where there was too little; `used` in this minute by all, that included."""

    granted: int
    used: int


class Egress:
    """The address from which several processes ask the same exchanges, each of them the same `Egress`."""

    def __init__(self, address: str = "default", shares: int = 1, redis_url: SecretStr | None = None) -> None:
        """`shares`: how many processes share the address, for when they cannot count together."""
        self.shares = shares
        self._address = address
        self._again_at_ms = 0
        self._redis: Any = redis_url and Redis.from_url(
            redis_url.get_secret_value(), socket_timeout=_WITHIN_S, socket_connect_timeout=_WITHIN_S
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close the connections to Redis at the end of the block."""
        try:
            yield
        finally:
            if self._redis is not None:
                await self._redis.aclose()

    @property
    def has_redis(self) -> bool:
        """Whether the processes are meant to count together."""
        return self._redis is not None

    @property
    def is_shared(self) -> bool:
        """Whether the processes count together now."""
        return self._redis is not None and monotonic_ms() >= self._again_at_ms

    async def reserve(
        self, pool: str, minute: int, *, used: int, want: int, least: int, cap: int, late: bool
    ) -> Reserved | None:
        """Take up to `want` out of a pool's minute, at least `least`, all together no more than `cap`.

        `used` is what is known to be used. `late`: charge the next minute as well. Null where each counts alone.
        """
        keys = (self._key(pool, minute), self._key(pool, minute + 1))
        arguments = (used, want, least, cap, int(late), 3 * MINUTE_MS)
        answer = await self._ask(lambda: self._redis.eval(_RESERVE, len(keys), *keys, *arguments))
        return None if answer is None else Reserved(int(answer[0]), int(answer[1]))

    async def pause(self, pool: str) -> Pause | None:
        """The pause that somebody behind the address was told."""
        told = await self._ask(lambda: self._redis.get(self._key(pool, "pause")))
        if not told:
            return None
        until_ms, _, banned = told.decode().partition(":")
        return Pause(int(until_ms), banned == "1")

    async def tell(self, pool: str, pause: Pause, for_ms: int) -> None:
        """Tell the others of a pause that lasts `for_ms` from now."""
        arguments = (pause.until_ms, int(pause.banned), max(1, for_ms))
        await self._ask(lambda: self._redis.eval(_PAUSE, 1, self._key(pool, "pause"), *arguments))

    def _key(self, pool: str, what: object) -> str:
        return f"tradecast:egress:{self._address}:{pool}:{what}"

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        if not self.is_shared:
            return None
        try:
            answer = await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._again_at_ms = monotonic_ms() + _AGAIN_AFTER_MS
            log.warning("request_weight_counted_alone", shares=self.shares, reason=f"redis: {type(error).__name__}")
            return None
        return answer
