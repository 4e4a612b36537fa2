"""Rate limits: alerts per bot, and wrong secrets per source address.

Counted in Redis where there is one, so that replicas share; while it is away each counts for itself, since losing an
alert is worse than letting one too many through.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from uuid import UUID

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from pydantic import SecretStr

from shared.clock import SystemClock, monotonic_ms
from shared.contracts import BotEntry

_WRONG_SECRETS = RateLimitItemPerMinute(10)
_REDIS_WITHIN_S = 0.25
_REDIS_AGAIN_AFTER_MS = 5_000

log = structlog.get_logger()

Question = Callable[[MovingWindowRateLimiter], Awaitable[int | None]]


class Limits:
    """Each question is answered with the seconds after which to try again, or null: go on."""

    def __init__(self, redis_url: SecretStr | None) -> None:
        self._memory = MovingWindowRateLimiter(MemoryStorage())
        self._redis_storage = None if redis_url is None else _redis(redis_url)
        self._redis = None if self._redis_storage is None else MovingWindowRateLimiter(self._redis_storage)
        self._redis_again_at_ms = 0
        self._credits: Counter[UUID] = Counter()

    async def alert(self, bot: BotEntry) -> int | None:
        """Count an alert with the right secret against its bot."""
        if self._credits[bot.bot_id] > 0:
            self._credits[bot.bot_id] -= 1
            return None
        limit = RateLimitItemPerMinute(bot.rate_limit_per_minute)
        return await self._ask(lambda limiter: _hit(limiter, limit, f"bot:{bot.bot_id}"))

    def give_back(self, bot_id: UUID) -> None:
        """Let the bot's next alert pass uncounted: the last one failed by our fault, and will be sent again."""
        self._credits[bot_id] += 1

    async def wrong_secret(self, source: str) -> int | None:
        """Count a wrong secret against the address it came from.

        Only wrong ones are held against an address: TradingView sends everybody's alerts from a handful, and a
        stranger's wrong secrets must not silence a right one.
        """
        return await self._ask(lambda limiter: _hit(limiter, _WRONG_SECRETS, _network_of(source)))

    async def _ask(self, question: Question) -> int | None:
        if self._redis is not None and monotonic_ms() >= self._redis_again_at_ms:
            try:
                async with asyncio.timeout(_REDIS_WITHIN_S):
                    return await question(self._redis)
            except (StorageError, OSError, TimeoutError) as error:
                self._redis_again_at_ms = monotonic_ms() + _REDIS_AGAIN_AFTER_MS
                log.warning("rate_limits_counted_in_memory", reason=f"redis: {type(error).__name__}")
        return await question(self._memory)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close the connections to Redis at the end of the block."""
        yield
        if self._redis_storage is not None and isinstance(bridge := self._redis_storage.bridge, RedispyBridge):
            await bridge.storage.aclose()


def _redis(url: SecretStr) -> RedisStorage:
    return RedisStorage(url.get_secret_value(), wrap_exceptions=True, implementation="redispy")


async def _hit(limiter: MovingWindowRateLimiter, limit: RateLimitItem, key: str) -> int | None:
    return None if await limiter.hit(limit, key) else await _seconds_until_free(limiter, limit, key) or 1


async def _seconds_until_free(limiter: MovingWindowRateLimiter, limit: RateLimitItem, key: str) -> int | None:
    window = await limiter.get_window_stats(limit, key)
    if window.remaining > 0:
        return None
    return max(1, math.ceil(window.reset_time - SystemClock().now().timestamp()))


def _network_of(source: str) -> str:
    """What is counted: an IPv4 address, or the /64 that one IPv6 customer has to himself."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    return source if address.version == 4 else str(ip_network((address, 64), strict=False))
