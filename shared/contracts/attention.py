"""Executions that cannot be resolved within their bound, and a person's word about them."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from shared.contracts.base import Message


class Doubt(StrEnum):
    """Why an execution cannot go on by itself. It goes on asking; a person may know more."""

    ORDER_UNKNOWN = "order_unknown"
    CLOSE_NOT_TAKEN = "close_not_taken"
    ENVIRONMENT_UNAVAILABLE = "environment_unavailable"
    KEY_UNREADABLE = "key_unreadable"


class Verdict(StrEnum):
    """What a person found at the exchange, or asks for."""

    NOT_PLACED = "not_placed"  # the order in question is not at the exchange and never filled
    CLOSED_BY_HAND = "closed_by_hand"  # the person closed what there was and cancelled its protections
    LOOK_AGAIN = "look_again"  # what stood in the way is gone: ask at once


class AttentionNeeded(Message):
    """An execution waits for certainty, its lane closed behind it.

    `client_order_id` names the order in question at the exchange, null where there is none yet.
    """

    TYPE: ClassVar[str] = "attention.needed.v1"
    attention_id: UUID
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    action: str
    symbol: str | None
    doubt: Doubt
    client_order_id: str | None = None


class AttentionEnded(Message):
    """The execution went on: by a person's word (`ended_by` is the administrator's user id), or by itself (null)."""

    TYPE: ClassVar[str] = "attention.ended.v1"
    attention_id: UUID
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    ended_by: UUID | None = None
    verdict: Verdict | None = None


class ExecutionResolveRequested(Message):
    """An administrator tells the executors what is true of an execution that needs attention."""

    TYPE: ClassVar[str] = "execution.resolve.requested.v1"
    execution_id: UUID
    verdict: Verdict
    user_id: UUID
