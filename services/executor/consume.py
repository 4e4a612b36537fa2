"""Takes jobs from the bus into their lanes: one transaction for a batch, then the bell."""

from collections.abc import Callable, Sequence

from services.executor.store import Store
from shared.bus import Handler
from shared.contracts import ExecutionRequested, Message


def on_jobs(store: Store, ring: Callable[[], None]) -> Handler:
    """The handler of `executor.jobs`. An unacknowledged message is never held while the exchange thinks."""

    async def handle(messages: Sequence[Message]) -> None:
        await store.add_jobs([message for message in messages if isinstance(message, ExecutionRequested)])
        ring()

    return handle
