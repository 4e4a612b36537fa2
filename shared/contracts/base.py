"""What every message of the bus has in common."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen part of a message. Readers ignore fields they do not know, so that writers may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Value):
    """A fact or a request on the bus. `type` (class and version) is also its routing key."""

    TYPE: ClassVar[str]

    id: UUID
    occurred_at: AwareDatetime
