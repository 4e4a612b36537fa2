"""All exchanges and queues there are, on one page. Both transports read it."""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts import (
    BotChanged,
    EntriesAllowRequested,
    ExecutionRequested,
    ExecutionResolveRequested,
    ReceiptGiven,
    SignalReceived,
    SignalSettled,
)


class Exchange(StrEnum):
    """Where messages are published. `jobs` carries sealed credentials: only executors may read from it.

    `receipts` carries what the bus says of messages, never what is in them.
    """

    FACTS = "facts"
    JOBS = "jobs"
    RECEIPTS = "receipts"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and what it takes: the messages of `exchange` whose type matches one of `bindings` (`*` ends a prefix).

    `batch_max` is how many messages one handler call may get. `single_active`: one consumer at a time, others stand
    by. `broadcast`: every replica has a queue of its own, which is gone a minute after its reader.
    """

    name: str
    exchange: Exchange
    bindings: tuple[str, ...]
    batch_max: int
    single_active: bool = False
    broadcast: bool = False

    @property
    def dead(self) -> str:
        """The queue that keeps what this one could not settle."""
        return f"{self.name}.dead"

    def takes(self, type_: str) -> bool:
        """Whether a message of this type is delivered to this queue."""
        return any(
            type_ == binding or (binding.endswith("*") and type_.startswith(binding[:-1])) for binding in self.bindings
        )


SIGNALS = Queue("bot_registry.signals", Exchange.FACTS, (SignalReceived.TYPE,), batch_max=1)
JOBS = Queue(
    "executor.jobs",
    Exchange.JOBS,
    (ExecutionRequested.TYPE, EntriesAllowRequested.TYPE, ExecutionResolveRequested.TYPE),
    batch_max=10,
)
LEDGER = Queue("ledger.facts", Exchange.FACTS, ("*",), batch_max=500, single_active=True)
GATEWAY = Queue(
    "webhook_gateway.events", Exchange.FACTS, (BotChanged.TYPE, SignalSettled.TYPE), batch_max=50, broadcast=True
)
REGISTRY_RECEIPTS = Queue("bot_registry.receipts", Exchange.RECEIPTS, (ReceiptGiven.TYPE,), batch_max=20)
EXECUTOR_RECEIPTS = Queue("executor.receipts", Exchange.RECEIPTS, (ReceiptGiven.TYPE,), batch_max=20)
QUEUES = (SIGNALS, JOBS, LEDGER, GATEWAY, REGISTRY_RECEIPTS, EXECUTOR_RECEIPTS)

_NEWS = (BotChanged.TYPE, SignalSettled.TYPE, ReceiptGiven.TYPE)  # who misses them learns it otherwise


def exchange_of(type_: str) -> Exchange:
    """The exchange that a type of message is published to."""
    if JOBS.takes(type_):
        return Exchange.JOBS
    return Exchange.RECEIPTS if type_ == ReceiptGiven.TYPE else Exchange.FACTS


def answered_by(type_: str) -> Queue | None:
    """The queue whose consumer gives the receipt until which a sender keeps such a message; null: none is needed."""
    if type_ in _NEWS:
        return None
    return next((queue for queue in (JOBS, SIGNALS) if queue.takes(type_)), LEDGER)
