"""One market behind the gate: its endpoints, its own limits, and how a request reaches its accounts. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.paper_exchange.endpoint import Endpoint
from services.paper_exchange.errors import Refused
from services.paper_exchange.keyring import Key
from services.paper_exchange.limits import OrderCount, OrderLimit, WeightCount
from services.paper_exchange.signing import Params

USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"


def _tell_nobody(_: Key) -> None:
    """Where nobody can follow what happens."""


@dataclass(slots=True)
class Venue:
    """A market. `call` makes what its endpoints are asked with; `publish` tells an account's followers what happened.

    `late_code` is what its matching engine refuses with beyond recvWindow, which may be `longest_window_ms` at most;
    `unfilled_only`: an order that is refused does not count against the order limits.
    """

    endpoints: dict[tuple[str, str], Endpoint[Any]]
    weights: WeightCount
    call: Callable[[Key, Params, int], Any]
    publish: Callable[[Key], None] = _tell_nobody
    order_limits: tuple[OrderLimit, ...] = ()
    late_code: int = -1021
    longest_window_ms: int | None = 60_000
    unfilled_only: bool = False
    weight_headers: tuple[str, ...] = (USED_WEIGHT,)
    order_counts: dict[str, OrderCount] = field(default_factory=dict)

    def order_count(self, key: Key) -> OrderCount:
        """New orders of the account of this key."""
        counts = self.order_counts
        return counts.get(key.api_key) or counts.setdefault(key.api_key, OrderCount(self.order_limits))

    def answer(self, endpoint: Endpoint[Any], key: Key, call: Any, now_ms: int) -> Any:
        """The endpoint's document for a call that `call` made; raises Refused."""
        try:
            return endpoint.answer(call)
        except Refused:
            if endpoint.orders and self.unfilled_only:
                self.order_count(key).give_back(max(endpoint.orders), now_ms)
            raise
