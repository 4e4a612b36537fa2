"""`python -m services.bot_registry.dispatcher`: the process that consumes `signal.received`."""

import asyncio
from dataclasses import replace

from services.bot_registry.dispatcher.app import build
from services.bot_registry.dispatcher.settings import Settings
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.db.database import Database
from shared.settings import read
from shared.web import server


async def main(settings: Settings) -> None:
    """Dispatch until told to stop."""
    database = Database(settings.database_url, "registry")
    bus = RabbitBus(settings.amqp_url, "bot_registry.dispatcher")
    service = build(database, bus, SystemClock(), settings.ask_again_after_s)
    service = replace(service, parts=[bus.running, *service.parts])
    await server.run([service], settings.host, settings.port)


if __name__ == "__main__":
    asyncio.run(main(read(Settings)))
