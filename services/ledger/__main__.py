"""The ledger as a process of its own: `python -m services.ledger`."""

import asyncio
from dataclasses import replace

from services.ledger.app import build
from services.ledger.settings import ProcessSettings
from shared import settings
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.db.database import Database
from shared.web import server
from shared.web.auth import TokenVerifier


async def main(given: ProcessSettings) -> None:
    """Run until told to stop."""
    bus = RabbitBus(given.amqp_url, "ledger")
    service = build(given, Database(given.database_url, "ledger"), bus, SystemClock())
    service = replace(service, parts=(bus.running, *service.parts))
    await server.run([service], given.host, given.port, TokenVerifier(given.token_public_key))


if __name__ == "__main__":
    asyncio.run(main(settings.read(ProcessSettings)))
