"""What trading needs of a market of Binance's, for any customer; `Futures` and `Spot` are two."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Protocol

from services.executor.orders import (
    CancelProtection,
    Fill,
    Intent,
    MarketOrder,
    Oco,
    Order,
    Position,
    Protection,
    SymbolRules,
)
from services.executor.state import Moved
from services.executor.verdict import Reading
from shared.contracts import MarketType
from shared.sealing import Credentials


class Market(Protocol):
    """One market of one environment.

    Every method that takes credentials raises Failed, and nothing else, when the call does not succeed.
    """

    market: MarketType

    def running(self) -> AbstractAsyncContextManager[None]:
        """Open connections for the length of the block."""

    def now_ms(self) -> int:
        """The exchange's time, as far as we know it."""

    async def know_clock(self) -> None:
        """Have `now_ms` right. Raises Failed."""

    @property
    def is_paused(self) -> bool:
        """Whether the exchange asked to be left alone (429, 418)."""

    async def rules(self, symbol: str) -> SymbolRules:
        """The symbol's filters. Raises Failed or UnknownSymbol."""

    async def price(self, symbol: str) -> Decimal:
        """The price that orders are sized by. Raises Failed."""

    async def place(self, credentials: Credentials, order: MarketOrder, intent: Intent) -> Order:
        """Send a market order."""

    async def find(self, credentials: Credentials, symbol: str, client_id: str) -> Order | None:
        """An order by our name; null where the exchange does not know it."""

    async def held_net(self, credentials: Credentials, moved: Moved, client_id: str) -> Decimal:
        """What the account holds on the order's side, as if all other orders since had not been."""

    async def protect(self, credentials: Credentials, protection: Protection | Oco, intent: Intent) -> Sequence[str]:
        """Send a protection; the order ids of its legs."""

    async def standing(self, credentials: Credentials, symbol: str, *client_ids: str) -> Sequence[str]:
        """The order ids of a protection's legs if it stands or has triggered, else nothing."""

    async def open_protections(self, credentials: Credentials, symbol: str) -> dict[str, str]:
        """Client id → order id of what waits for its trigger."""

    async def cancel_protection(self, credentials: Credentials, step: CancelProtection) -> None:
        """Take a protection away."""

    async def reading(self, credentials: Credentials, position: Position, beside: Sequence[Position]) -> Reading:
        """What the exchange says around a position; `beside` are our others on the account."""

    async def fired(self, credentials: Credentials, position: Position) -> dict[str, str]:
        """Client id → order id of protections that became orders."""

    async def closing(self, credentials: Credentials, position: Position) -> list[Fill]:
        """The account's fills since the position was opened that reduced it, whoever's they were."""

    async def fills(self, credentials: Credentials, symbol: str, order_id: str) -> list[Fill]:
        """The fills of an order."""

    async def earned(
        self, position: Position, entry: Sequence[Fill], exits: Sequence[Fill]
    ) -> tuple[Decimal, Sequence[Fill]] | None:
        """Profit in the quote asset, and the fills whose fees are still to be taken off; null where it is not known."""
