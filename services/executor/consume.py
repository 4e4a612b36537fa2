"""Takes jobs and commands from the bus: a batch of jobs in one transaction, then the bell."""

from collections.abc import Callable, Sequence

import structlog

from services.executor.state import Said
from services.executor.stops import Stops
from services.executor.store import Store
from shared.bus import Handler
from shared.contracts import EntriesAllowRequested, ExecutionRequested, ExecutionResolveRequested, Message

log = structlog.get_logger()


def on_jobs(store: Store, stops: Stops, ring: Callable[[], None]) -> Handler:
    """The handler of `executor.jobs`. An unacknowledged message is never held while the exchange thinks."""

    async def handle(messages: Sequence[Message]) -> None:
        jobs = [message for message in messages if isinstance(message, ExecutionRequested)]
        if jobs:
            await store.add_jobs(jobs)
            ring()
        for message in messages:
            if isinstance(message, EntriesAllowRequested):
                await stops.allow(message.stop_id, message.user_id)
            if isinstance(message, ExecutionResolveRequested):
                heeded = await store.hear(message.execution_id, Said(message.verdict, message.user_id))
                log.info(
                    "resolution_heard",
                    execution_id=str(message.execution_id),
                    verdict=message.verdict,
                    by=str(message.user_id),
                    heeded=heeded,
                )
                ring()

    return handle
