"""The exceptions of the rim: what a caller can do about a failure, not where it came from."""

import asyncio


class Transient(Exception):
    """What is needed (database, broker, another service) is away. Nothing is lost by trying again."""


class Poison(Exception):
    """The message can never be handled. It goes to the dead-letter queue at once."""


def leaked_cancellation() -> bool:
    """Whether the CancelledError in hand came out of a library (aiormq raises it on dead connections), unasked for."""
    task = asyncio.current_task()
    return task is not None and not task.cancelling()
