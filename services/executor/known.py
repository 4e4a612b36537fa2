"""What is remembered of exchange accounts, so that it is not read for every order."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from services.executor.exchange.futures import Futures
from services.executor.orders import Bracket
from shared.clock import monotonic_ms
from shared.sealing import Credentials

_KNOWN_FOR_MS = 3_600_000


@dataclass(slots=True)
class Known:
    """`hedge`: whether the account keeps long and short positions apart. `brackets` by symbol."""

    since_ms: int
    hedge: bool
    brackets: dict[str, tuple[Bracket, ...]] = field(default_factory=dict)


class Accounts:
    """The position mode and the leverage brackets of accounts, read again after an hour or when found stale."""

    def __init__(self) -> None:
        self._known: dict[UUID, Known] = {}
        self._brackets: dict[tuple[Bracket, ...], tuple[Bracket, ...]] = {}  # most accounts have the same: kept once

    async def read(
        self, exchange: Futures, credentials: Credentials, account_id: UUID, symbol: str, *, afresh: bool
    ) -> Known:
        """What is known of an account, its symbol included; `afresh`: all of it read now. Raises Failed."""
        known = self._known.get(account_id)
        if known is not None and not afresh and monotonic_ms() - known.since_ms <= _KNOWN_FOR_MS:
            if symbol not in known.brackets:
                known.brackets[symbol] = self._kept(await exchange.brackets(credentials, symbol))
            return known
        hedge, brackets = await asyncio.gather(exchange.is_hedged(credentials), exchange.brackets(credentials, symbol))
        known = self._known[account_id] = Known(monotonic_ms(), hedge, {symbol: self._kept(brackets)})
        return known

    def _kept(self, brackets: tuple[Bracket, ...]) -> tuple[Bracket, ...]:
        return self._brackets.setdefault(brackets, brackets)
