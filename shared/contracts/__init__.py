"""The messages: the only thing that two services agree on.

A field may be added with a default in the same version. Anything else is a new class with the next version, both
published for one release. The golden JSON Schemas in `schemas/` make every change a decision.
"""

from typing import Any

import orjson
from pydantic import ValidationError

from shared.contracts.attention import (
    AttentionEnded,
    AttentionNeeded,
    Doubt,
    ExecutionResolveRequested,
    Verdict,
)
from shared.contracts.base import Message, Value
from shared.contracts.executions import (
    CloseReason,
    Environment,
    ExecutionFinished,
    ExecutionRequested,
    ExecutionStatus,
    Job,
    LeveragePolicy,
    MarginType,
    MarketType,
    OnOpposite,
    PositionClosed,
    PositionOpened,
    TradeConfig,
    WhenSymbolHeld,
    WorkingType,
)
from shared.contracts.receipts import ReceiptGiven
from shared.contracts.registry import BotChanged, BotEntry, BotStatus, EncryptedSecret, SubscriptionChanged
from shared.contracts.signals import Action, Signal, SignalDispatched, SignalReceived, SignalSettled
from shared.contracts.stops import EntriesAllowed, EntriesAllowRequested, EntriesStopped

MESSAGES: dict[str, type[Message]] = {
    message.TYPE: message
    for message in (
        SignalReceived,
        SignalDispatched,
        SignalSettled,
        ExecutionRequested,
        ExecutionFinished,
        PositionOpened,
        PositionClosed,
        BotChanged,
        SubscriptionChanged,
        ReceiptGiven,
        AttentionNeeded,
        AttentionEnded,
        ExecutionResolveRequested,
        EntriesStopped,
        EntriesAllowRequested,
        EntriesAllowed,
    )
}


class Unreadable(Exception):
    """Bytes that are no message we know; the sender and we disagree, and only a person can tell why."""


def dump(message: Message) -> bytes:
    """The JSON of a message; its `type` stands first."""
    head = b'{"type":"' + message.TYPE.encode() + b'",'
    return head + message.model_dump_json().encode()[1:]


def parse(type_: str, body: bytes) -> Message:
    """The message of type `type_` in `body`. Raises Unreadable for an unknown type or a body that does not fit."""
    if type_ not in MESSAGES:
        raise Unreadable(f"unknown message type {type_!r}")
    try:
        fields: Any = orjson.loads(body)
        return MESSAGES[type_].model_validate(fields)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"{type_}: not JSON") from error
    except ValidationError as error:
        # without the values: they may be sealed credentials, and this text reaches logs and dead-letter headers
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        where = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise Unreadable(f"{type_}: {where}") from None


__all__ = [
    "MESSAGES",
    "Action",
    "AttentionEnded",
    "AttentionNeeded",
    "BotChanged",
    "BotEntry",
    "BotStatus",
    "CloseReason",
    "Doubt",
    "EncryptedSecret",
    "EntriesAllowRequested",
    "EntriesAllowed",
    "EntriesStopped",
    "Environment",
    "ExecutionFinished",
    "ExecutionRequested",
    "ExecutionResolveRequested",
    "ExecutionStatus",
    "Job",
    "LeveragePolicy",
    "MarginType",
    "MarketType",
    "Message",
    "OnOpposite",
    "PositionClosed",
    "PositionOpened",
    "ReceiptGiven",
    "Signal",
    "SignalDispatched",
    "SignalReceived",
    "SignalSettled",
    "SubscriptionChanged",
    "TradeConfig",
    "Unreadable",
    "Value",
    "Verdict",
    "WhenSymbolHeld",
    "WorkingType",
    "dump",
    "parse",
]
