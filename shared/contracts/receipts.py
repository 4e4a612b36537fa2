"""What the bus tells a sender: his messages have arrived, not only at the broker."""

from typing import ClassVar
from uuid import UUID

from shared.contracts.base import Message


class ReceiptGiven(Message):
    """Whoever consumes `queue` has settled these messages: what they say is in its database, or parked as dead."""

    TYPE: ClassVar[str] = "receipt.given.v1"
    queue: str
    message_ids: tuple[UUID, ...]
