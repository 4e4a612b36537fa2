"""A real executor in a process of its own that freezes once, between signing and sending.

FREEZE_AT says where: `POST /fapi/v1/order 2` is the second request of that kind. It stops itself with SIGSTOP there,
and once somebody lets it go on it sends what it had signed and prints what the exchange answered.
"""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

from services.executor import tables
from services.executor.app import build
from services.executor.exchange import client
from services.executor.settings import ProcessSettings
from services.executor.tests.conftest import QUICK
from shared.bus.inprocess import InProcessBus
from shared.clock import SystemClock
from shared.db.database import Database
from shared.db.outbox import Relay
from shared.settings import read

METHOD, PATH, TURN = os.environ["FREEZE_AT"].split()


class FreezingClient(client._Ccxt):
    """Freezes with the signed request in its hands."""

    turns = 0

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        if (method, url.split("?", maxsplit=1)[0].removeprefix(os.environ["PAPER_EXCHANGE_URL"])) != (METHOD, PATH):
            return await super().fetch(url, method, headers, body)
        FreezingClient.turns += 1
        if FreezingClient.turns != int(TURN):
            return await super().fetch(url, method, headers, body)
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            answer = await super().fetch(url, method, headers, body)
        except client.Failed as error:
            print("refused", getattr(error.reply, "code", None), flush=True)
            raise
        print("accepted", flush=True)
        return answer


async def main() -> None:
    """Trade what is in the database until killed."""
    settings = read(ProcessSettings)
    client._Ccxt = FreezingClient  # type: ignore[misc]
    service = build(settings, Database(settings.database_url, tables.SCHEMA), InProcessBus(), SystemClock(), QUICK)
    async with AsyncExitStack() as stack:
        for part in service.parts:
            # its relay would tell a bus that nobody listens to; the test's own executor tells what is told
            if not isinstance(getattr(part, "__self__", None), Relay):
                await stack.enter_async_context(part())
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
