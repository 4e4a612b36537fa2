"""What all customers share of a market: its symbols' filters and their prices, read once for everybody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from typing import Any, Generic, TypeVar

import structlog
from prometheus_client import Counter

from services.executor.exchange.budget import Urgency
from services.executor.exchange.client import Failed, UnknownSymbol
from services.executor.exchange.governor import urgent
from services.executor.outcomes import Answer
from shared.clock import monotonic_ms
from shared.service import background

_PRICE_FRESH_MS = 500
_RULES_EVERY_S = 3_600.0
_RULES_AGAIN_MS = 30_000  # a new listing is found soon; a wrong ticker costs one reading for all customers
# An order was refused by a filter, or its symbol is not traded: our filters may be old ("Error Codes", 11xx and 40xx).
_RULES_IN_DOUBT = frozenset({-1013, -1111, -1121, -1122, -4140, -4141, -4164} | set(range(-4007, -4001)))
_RULES_IN_DOUBT |= {-4013, -4014, -4016, -4023, -4024}

log = structlog.get_logger()
_reads = Counter("tradecast_market_data_reads_total", "readings that all customers share", ["what"])

RulesT = TypeVar("RulesT")
ValueT = TypeVar("ValueT")


class MarketData(Generic[RulesT]):
    """The filters and prices of one market at one host."""

    def __init__(
        self,
        read_rules: Callable[[], Awaitable[Mapping[str, RulesT]]],
        read_price: Callable[[str], Awaitable[Decimal]],
        in_use: asyncio.Event,
    ) -> None:
        """`read_rules` tells the filters of all symbols that are traded now; both readings raise Failed.

        `in_use`: somebody trades or watches here; an environment that nobody uses is left alone.
        """
        self._read_rules = read_rules
        self._read_price = read_price
        self._in_use = in_use
        self._rules: Mapping[str, RulesT] = {}
        self._rules_tried_ms = -_RULES_AGAIN_MS
        self._rules_reading: asyncio.Future[None] | None = None
        self._in_doubt = asyncio.Event()
        self._prices: dict[str, tuple[int, asyncio.Future[Decimal]]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the filters fresh for the length of the block."""
        async with background("executor.market_data", self._keep_fresh):
            yield

    async def rules(self, symbol: str) -> RulesT:
        """The symbol's filters, from memory once they were read. Raises Failed or UnknownSymbol."""
        if symbol not in self._rules and (not self._rules or self._wait_ms() <= 0):
            await self._read_anew()
        try:
            return self._rules[symbol]
        except KeyError:
            raise UnknownSymbol(symbol) from None

    async def price(self, symbol: str) -> Decimal:
        """The price, read once for a burst, at most half a second old. Raises Failed."""
        now_ms = monotonic_ms()
        read_ms, price = self._prices.get(symbol, (0, None))
        if price is None or now_ms - read_ms > _PRICE_FRESH_MS or (price.done() and price.exception()):
            price = _begin(self._shared_price(symbol))
            self._prices[symbol] = (now_ms, price)
        return await asyncio.shield(price)

    @contextmanager
    def doubted(self) -> Iterator[None]:
        """If a filter refuses what is sent in the block, the filters are read anew, at once and beside it."""
        try:
            yield
        except Failed as error:
            if isinstance(error.reply, Answer) and error.reply.code in _RULES_IN_DOUBT:
                self._in_doubt.set()
            raise

    async def _keep_fresh(self) -> None:
        await self._in_use.wait()
        while True:
            try:
                await self._read_anew()
                self._in_doubt.clear()
            except Failed as error:
                self._in_doubt.set()
                log.warning("filters_not_read", reason=str(error), kept=len(self._rules))
            with suppress(TimeoutError):
                async with asyncio.timeout(_RULES_EVERY_S):
                    await self._in_doubt.wait()
            await asyncio.sleep(max(0, self._wait_ms()) / 1000)

    def _wait_ms(self) -> int:
        return self._rules_tried_ms + _RULES_AGAIN_MS - monotonic_ms()

    async def _read_anew(self) -> None:
        if self._rules_reading is None or self._rules_reading.done():
            self._rules_reading = _begin(self._shared_rules())
        await asyncio.shield(self._rules_reading)

    async def _shared_rules(self) -> None:
        self._rules_tried_ms = monotonic_ms()
        with urgent(Urgency.VITAL):  # it tells the limits too
            self._rules = await self._read_rules()
        _reads.labels("rules").inc()

    async def _shared_price(self, symbol: str) -> Decimal:
        with urgent(Urgency.READ):  # whoever asked first, an order may wait for it
            price = await self._read_price(symbol)
        _reads.labels("price").inc()
        return price


def _begin(reading: Coroutine[Any, Any, ValueT]) -> asyncio.Future[ValueT]:
    """A reading that others may wait for, and that is heard even when none of them stays."""
    future = asyncio.ensure_future(reading)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
