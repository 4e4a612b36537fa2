"""What an endpoint is: what it costs, who may call it, how it answers. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

C = TypeVar("C")  # the market's own Call: one request that passed the gate


class Security(Enum):
    """What an endpoint asks of its caller: nothing, the key header, or key and signature."""

    PUBLIC = 0
    KEY = 1
    SIGNED = 2


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[C]):
    """`weight_all` is the weight where the symbol is left out; `free`: a success gives the weight back.

    `orders` counts against the account's order limits, shorter interval first. `matched` is what the matching engine
    carries out itself, after a look at its own clock.
    """

    answer: Callable[[C], Any]
    weight: int = 1
    weight_all: int | None = None
    orders: tuple[int, int] | None = None
    security: Security = Security.SIGNED
    free: bool = False
    matched: bool = False
