"""Looks at positions of ours where they really are, at the exchange, and records those that are gone."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from services.executor.exchange.client import Failed
from services.executor.exchange.futures import Futures
from services.executor.orders import CancelProtection, Order, Position, closing_side
from services.executor.outcomes import NoAnswer
from services.executor.state import Closed, Settled
from services.executor.store import Held, Store
from services.executor.verdict import Gone, Open, Reading, judge
from shared.contracts import CloseReason
from shared.sealing import Credentials

_EXPLAINED_WITHIN_MS = 10_000

log = structlog.get_logger()


class Reconciler:
    """Reads, judges, records. One that is `beside_the_lanes` leaves an account alone while an execution is at work."""

    def __init__(self, store: Store, *, beside_the_lanes: bool = False) -> None:
        self._store = store
        self._flat_since_ms: dict[UUID, int] = {}
        self._beside_the_lanes = beside_the_lanes

    async def look(self, exchange: Futures, credentials: Credentials, position: Position) -> Open | Gone:
        """Whether the position stands. Weight 6, 1 more for each protection that does not, 10 more when it is gone.

        Raises Failed, also while the exchange does not tell how it was closed.
        """
        held, standing = await asyncio.gather(
            exchange.held(credentials, position.symbol), exchange.open_protections(credentials, position.symbol)
        )
        amount = sum((a for s, side, a in held if (s, side) == (position.symbol, position.position_side)), Decimal(0))
        fired: list[tuple[CloseReason, Order]] = []
        for reason, name in position.protections:
            if name not in standing:
                order = await exchange.find(credentials, position.symbol, name)
                if order is not None:
                    fired.append((reason, order))
        verdict = judge(position, Reading(amount, frozenset(standing), tuple(fired)))
        if isinstance(verdict, Gone) and not verdict.order_ids:
            return await self._explained(exchange, credentials, position)
        self._flat_since_ms.pop(position.id, None)
        return verdict

    async def _explained(self, exchange: Futures, credentials: Credentials, position: Position) -> Gone:
        """Which orders closed a position that the account holds no more.

        Reads may lag behind the matching engine, so that the position is gone and its end not told yet: until the
        account's trades add up, or some seconds have passed, nothing is known. Raises Failed then.
        """
        fired = await exchange.fired(credentials, position.symbol)
        for reason, name in position.protections:
            if name in fired:
                return Gone(reason, (fired[name],))
        trades = await exchange.trades_since(credentials, position.symbol, position.opened_at_ms)
        side = closing_side(position.direction)
        closing = [t for t in trades if (t["side"], t["positionSide"]) == (side, position.position_side)]
        since_ms = self._flat_since_ms.setdefault(position.id, exchange.now_ms())
        if _quantity(closing) < position.quantity and exchange.now_ms() - since_ms < _EXPLAINED_WITHIN_MS:
            raise Failed(NoAnswer(sent=True, message="the position is gone, and the exchange does not say yet how"))
        self._flat_since_ms.pop(position.id, None)
        return Gone(CloseReason.EXTERNAL, tuple(dict.fromkeys(str(trade["orderId"]) for trade in closing)))

    async def settle(self, exchange: Futures, credentials: Credentials, position: Position, gone: Gone) -> Settled:
        """What a closed position earned, from the exchange's own list of trades. Raises Failed."""
        if not gone.order_ids:
            return Settled(gone.reason, None, None)
        entry = await exchange.trades(credentials, position.symbol, position.entry_order_id)
        exits = [
            trade
            for order_id in gone.order_ids
            for trade in await exchange.trades(credentials, position.symbol, order_id)
        ]
        if not entry or _quantity(entry) != _quantity(exits):
            # a part was closed by other hands, or is not told yet: better no figure than a wrong one
            return Settled(gone.reason, None, None)
        commission = await self._commission(exchange, [*entry, *exits])
        gross = _notional(exits) - _notional(entry)
        realized = (gross if position.direction == "long" else -gross) - commission
        return Settled(gone.reason, _notional(exits) / _quantity(exits), realized)

    async def _commission(self, exchange: Futures, trades: Sequence[dict[str, Any]]) -> Decimal:
        """Commission in USD. Accounts that burn BNB for fees pay in BNB, which is valued at its mark price."""
        total = Decimal(0)
        for trade in trades:
            paid = Decimal(trade["commission"])
            total += paid * await exchange.price("BNBUSDT") if trade["commissionAsset"] == "BNB" else paid
        return total

    async def check(self, exchange: Futures, credentials: Credentials, held: Held) -> bool:
        """Whether the position still stands; if not, record that and take its remains away. Raises Failed."""
        verdict = await self.look(exchange, credentials, held.position)
        if isinstance(verdict, Open):
            if verdict.lost:
                log.error("protection_lost", position_id=str(held.position.id), lost=verdict.lost)
            return True
        for _, name in held.position.protections:
            await _cancel(exchange, credentials, CancelProtection(held.position.symbol, name))
        settled = await self.settle(exchange, credentials, held.position, verdict)
        await self._store.close(held, Closed(held.position, settled), only_if_idle=self._beside_the_lanes)
        return False


async def _cancel(exchange: Futures, credentials: Credentials, step: CancelProtection) -> None:
    try:
        await exchange.cancel_protection(credentials, step)
    except Failed as error:
        log.debug("protection_not_cancelled", client_id=step.client_id, reason=str(error))


def _notional(trades: Sequence[dict[str, Any]]) -> Decimal:
    return sum((Decimal(trade["price"]) * Decimal(trade["qty"]) for trade in trades), Decimal(0))


def _quantity(trades: Sequence[dict[str, Any]]) -> Decimal:
    return sum((Decimal(trade["qty"]) for trade in trades), Decimal(0))
