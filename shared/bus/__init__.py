"""The bus: how messages travel between services. Two transports keep these promises, RabbitMQ and in-process.

`publish` returns only when the messages cannot be lost any more: at RabbitMQ when the broker has confirmed them, in
process when every bound queue has settled them. Consuming is at least once; what settles a message is written in
`delivery`. Order between messages is not promised.

A broker may lose its queues. Hence receipts: whoever consumes a message that `wants_receipt` tells when it is settled,
and a sender that keeps it until then (`shared.db.outbox`) can say it again.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from shared.bus.topology import Queue
from shared.contracts import Message, dump
from shared.errors import Poison, Transient


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready to travel: its id and type stand in the transport's header too.

    `wants_receipt`: its sender keeps it until a `receipt.given` names it.
    """

    id: UUID
    type: str
    body: bytes
    wants_receipt: bool = False

    @classmethod
    def of(cls, message: Message) -> "Envelope":
        """Wrap a message."""
        return cls(message.id, message.TYPE, dump(message))


def told_again_after_s(told: int, first_s: float) -> float:
    """How long to wait for an answer after `told` repetitions: four times longer each time, an hour at most."""
    return min(first_s * 4.0 ** min(told, 10), max(3600.0, first_s))


class PublishFailed(Transient):
    """The broker refused the message, or nobody is bound to it: it is nowhere."""


class PublishUnknown(Transient):
    """No answer in time: the message may or may not have arrived. Publishing it again may double it."""


Handler = Callable[[Sequence[Message]], Awaitable[None]]
"""Takes a batch; returning settles all of it. A batch that fails is handled again one message at a time."""


class Bus(Protocol):
    """One transport. Entering it connects (and waits for a broker that is away); leaving it disconnects.

    `gives_receipts`: what was published may still be lost before it is settled, and a receipt tells when it no longer
    can; false where `publish` returns only then.
    """

    gives_receipts: bool

    def running(self) -> AbstractAsyncContextManager[None]:
        """Connect for the length of the block."""
        ...

    async def publish(self, envelopes: Sequence[Envelope], *, within_s: float) -> None:
        """Publish all, pipelined. Raises PublishFailed or PublishUnknown; then some may have arrived."""
        ...

    def consuming(self, queue: Queue, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Consume for the length of the block; at its end no new message is taken and running handlers finish."""
        ...

    def waiting_for(self) -> str | None:
        """What the transport waits for, in words for an operator; null when all is well."""
        ...


__all__ = [
    "Bus",
    "Envelope",
    "Handler",
    "Poison",
    "PublishFailed",
    "PublishUnknown",
    "Queue",
    "Transient",
    "told_again_after_s",
]
