"""How many executions need a person's attention, as a number that an alarm can be set on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

from services.ledger.store.reader import Reader
from shared.service import background

_EVERY_S = 10.0
WAITING = Gauge("tradecast_executions_needing_attention", "Executions that need a person's attention.")


@asynccontextmanager
async def counting(reader: Reader) -> AsyncIterator[None]:
    """Keep the number true for the length of the block, in every replica."""

    async def count() -> None:
        while True:
            WAITING.set(await reader.needing_attention())
            await asyncio.sleep(_EVERY_S)

    async with background("ledger.attention", count):
        yield
