"""What an endpoint is: what it costs, who may call it, how it answers. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import Params

UNREAD = "Not all sent parameters were read; read '{}' parameter(s) but was sent '{}'."
TOO_MANY = "Too many parameters; expected '{}' and received '{}'."
C = TypeVar("C")  # the market's own Call: one request that passed the gate


class Security(Enum):
    """What an endpoint asks of its caller: nothing, the key header, or key and signature."""

    PUBLIC = 0
    KEY = 1
    SIGNED = 2


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[C]):
    """`weight_all` is the weight where the parameter `narrowed_by` is left out; `free`: a success costs nothing.

    `orders` counts against the account's order limits, shorter interval first. `matched` is what the matching engine
    carries out itself, after a look at its own clock. `takes` are the parameters it knows; None: whatever is sent.
    """

    answer: Callable[[C], Any]
    weight: int = 1
    weight_all: int | None = None
    narrowed_by: str = "symbol"
    orders: tuple[int, int] | None = None
    security: Security = Security.SIGNED
    free: bool = False
    matched: bool = False
    takes: frozenset[str] | None = None

    def check_names(self, params: Params) -> None:
        """Refused for an empty parameter (-1105) or one it does not take (-1101 public, -1104 signed)."""
        if self.takes is None:
            return
        for name, value in params.items():
            if not value and name in self.takes:
                raise Refused(-1105, message=f"Parameter '{name}' was empty.")
        known = sum(name in self.takes for name in params)
        if known < len(params) and self.security is Security.SIGNED:
            raise Refused(-1104, message=UNREAD.format(known, len(params)))
        if known < len(params):
            raise Refused(-1101, message=TOO_MANY.format(known, len(params)))
