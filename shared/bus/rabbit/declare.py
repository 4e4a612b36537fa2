"""The topology, declared at the broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from shared.bus.topology import Exchange, Queue

_EXPIRES_MS = 60_000

EXCHANGES = {
    Exchange.FACTS: ExchangeType.TOPIC,  # bound by prefix too
    Exchange.JOBS: ExchangeType.DIRECT,
    Exchange.RECEIPTS: ExchangeType.DIRECT,
    Exchange.DEAD: ExchangeType.DIRECT,
}

log = structlog.get_logger()


@asynccontextmanager
async def declaring(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """A channel to declare on. An account without the right to declare finds all declared by the operator."""
    try:
        async with connection.channel(publisher_confirms=False) as channel:
            yield channel
    except ChannelAccessRefused as error:
        log.info("topology_is_the_operators", reason=str(error))


async def declare(channel: AbstractChannel, queue: Queue, name: str | None) -> None:
    """The dead-letter queue of `queue` and itself under `name` (none: a broadcast queue comes with its reader)."""
    # RabbitMQ 4 drops a message returned 20 times unless told otherwise; looking at a dead letter must not lose it
    grave = await channel.declare_queue(
        queue.dead, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
    )
    await grave.bind(Exchange.DEAD, queue.dead)
    if name is None:
        return
    declared = await channel.declare_queue(name, durable=True, arguments=_arguments(queue))
    for binding in queue.bindings:
        # `*` ends a prefix: topic exchanges match whole words, so a prefix must end at a dot
        await declared.bind(queue.exchange, binding.removesuffix("*") + "#" * binding.endswith("*"))


def _arguments(queue: Queue) -> dict[str, Any]:
    if queue.broadcast:  # its reader's alone, so not replicated; durable, because RabbitMQ 4.3 refuses transient ones
        return {"x-queue-type": "classic", "x-expires": _EXPIRES_MS}
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,  # the last fuse: we bury what we can still name a reason for
        "x-dead-letter-exchange": str(Exchange.DEAD),
        "x-dead-letter-routing-key": queue.dead,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return arguments | ({"x-single-active-consumer": True} if queue.single_active else {})
