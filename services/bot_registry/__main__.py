"""`python -m services.bot_registry`: the HTTP process."""

import asyncio
from dataclasses import replace

from services.bot_registry.app import build, issuer
from services.bot_registry.settings import ProcessSettings
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.db.database import Database
from shared.settings import read
from shared.web import server
from shared.web.auth import TokenVerifier


async def main(settings: ProcessSettings) -> None:
    """Serve until told to stop."""
    database = Database(settings.database_url, "registry")
    bus = RabbitBus(settings.amqp_url, "bot_registry")
    service = build(settings, database, bus, SystemClock())
    service = replace(service, parts=[bus.running, *service.parts])
    await server.run([service], settings.host, settings.port, TokenVerifier(issuer(settings).public_key))


if __name__ == "__main__":
    asyncio.run(main(read(ProcessSettings)))
