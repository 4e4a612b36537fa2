"""Moving both markets, by hand or by a feed that plays until it ends or is stopped."""

import asyncio
import contextlib
from collections.abc import Iterator
from decimal import Decimal

from services.paper_exchange.feed import STANDING, Feed
from services.paper_exchange.futures.moves import move
from services.paper_exchange.http import Gate
from services.paper_exchange.spot.moves import settle

ACCOUNTS_PER_STEP = 50  # settled at a time during a price move, so that others are served meanwhile


class Prices:
    """The one hand that moves prices: one move at a time."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.feed = STANDING
        self.steps = 0
        self._moving = asyncio.Lock()
        self._player: asyncio.Task[None] | None = None

    @property
    def is_playing(self) -> bool:
        """Whether a feed is playing now."""
        return self._player is not None and not self._player.done()

    async def move(self, symbol: str, price: Decimal) -> None:
        """Move a price; returns when all it triggered is done."""
        async with self._moving:
            for step, api_key in enumerate(self._settle(symbol, price), 1):
                self.gate.touch(api_key)
                if step % ACCOUNTS_PER_STEP == 0:
                    await asyncio.sleep(0)
        self.gate.touch("")

    async def play(self, feed: Feed) -> None:
        """Play a feed in place of the one before."""
        await self.stop()
        self.feed, self.steps = feed.name, 0
        self._player = asyncio.create_task(self._play(feed))

    async def stop(self) -> None:
        """Let prices stand, once the move under way is done."""
        player, self._player, self.feed = self._player, None, STANDING
        if player is not None:
            async with self._moving:
                player.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await player

    async def _play(self, feed: Feed) -> None:
        """Each step in its time, reckoned from the start, so that slow moves do not add up."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for step in feed.steps():
            due += step.after_ms / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self.move(step.symbol, step.price_from(self.gate.market.prices[step.symbol]))
            self.steps += 1

    def _settle(self, symbol: str, price: Decimal) -> Iterator[str]:
        """Move both markets and settle, one by one, the accounts concerned; the key of each is yielded."""
        gate, now_ms = self.gate, self.gate.clock()
        before = gate.market.prices[symbol]
        for account in move(gate.market, symbol, price, now_ms):
            gate.hub.publish(account)
            yield account.api_key
        for wallet in settle(gate.spot_market, symbol, before, now_ms):
            gate.followers.publish(wallet)
            yield wallet.api_key
