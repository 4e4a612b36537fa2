"""`python -m services.executor.watcher`: one watcher; several share the positions."""

import asyncio
from dataclasses import replace

from services.executor import tables
from services.executor.watcher.app import build
from services.executor.watcher.settings import WatcherSettings
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.db.database import Database
from shared.settings import read
from shared.web import server


async def main(settings: WatcherSettings) -> None:
    """Watch until told to stop."""
    bus = RabbitBus(settings.amqp_url, "watcher")
    service = build(settings, Database(settings.database_url, tables.SCHEMA), bus, SystemClock())
    service = replace(service, parts=(bus.running, *service.parts))
    await server.run([service], settings.host, settings.port)


if __name__ == "__main__":
    asyncio.run(main(read(WatcherSettings)))
