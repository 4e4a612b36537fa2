"""The gateway as a process of its own: `python -m services.webhook_gateway`."""

import asyncio
from dataclasses import replace

from services.webhook_gateway.app import build
from services.webhook_gateway.settings import ProcessSettings
from services.webhook_gateway.snapshot import from_registry
from shared import settings
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.web import server


async def main(given: ProcessSettings) -> None:
    """Run until told to stop."""
    bus = RabbitBus(given.amqp_url, "webhook_gateway")
    service = build(given, bus, SystemClock(), from_registry(given.bot_registry_url, given.service_token))
    service = replace(service, parts=(bus.running, *service.parts))
    await server.run([service], given.host, given.port)


if __name__ == "__main__":
    asyncio.run(main(settings.read(ProcessSettings)))
