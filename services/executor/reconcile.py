"""Looks at positions of ours where they really are, at the exchange, and records those that are gone."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import structlog

from services.executor import profit
from services.executor.exchange.budget import Urgency
from services.executor.exchange.client import Failed
from services.executor.exchange.governor import urgent
from services.executor.exchange.market import Market
from services.executor.orders import TRAITS, CancelProtection, Fill, Position
from services.executor.outcomes import NoAnswer
from services.executor.protecting import finish_stop, protect_again
from services.executor.state import Closed, Settled, State
from services.executor.store import Held, Store
from services.executor.verdict import Gone, Left, Open, judge
from shared.contracts import CloseReason, Job
from shared.sealing import Credentials

_EXPLAINED_WITHIN_MS = 10_000

log = structlog.get_logger()


class Reconciler:
    """Reads, judges, records. One that is `beside_the_lanes` leaves an account alone while an execution is at work."""

    def __init__(self, store: Store, *, beside_the_lanes: bool = False) -> None:
        self._store = store
        self._flat_since_ms: dict[UUID, int] = {}
        self._lost_since_ms: dict[UUID, int] = {}
        self._beside_the_lanes = beside_the_lanes

    async def look(self, exchange: Market, credentials: Credentials, position: Position, job: Job) -> Open | Gone:
        """Whether the position stands. Raises Failed, also while the exchange does not tell how it was closed."""
        ours = []
        if not TRAITS[exchange.market].nets:  # the balance does not tell one from another
            ours = await self._store.open_positions(job.exchange_account_id, job.config.market_type)
        beside = [held.position for held in ours if held.position.id != position.id]
        verdict = judge(position, await exchange.reading(credentials, position, beside))
        if isinstance(verdict, Gone) and not verdict.order_ids:
            return await self._explained(exchange, credentials, position)
        self._flat_since_ms.pop(position.id, None)
        return verdict

    async def _explained(self, exchange: Market, credentials: Credentials, position: Position) -> Gone:
        """Which orders closed a position that the account holds no more.

        Reads may lag behind the matching engine, so that the position is gone and its end not told yet: until the
        account's trades add up, or some seconds have passed, nothing is known. Raises Failed then.
        """
        fired = await exchange.fired(credentials, position)
        for reason, name in position.protections:
            if name in fired:
                return Gone(reason, (fired[name],))
        closing = await exchange.closing(credentials, position)
        since_ms = self._flat_since_ms.setdefault(position.id, exchange.now_ms())
        if profit.traded(closing) < position.quantity and exchange.now_ms() - since_ms < _EXPLAINED_WITHIN_MS:
            raise Failed(NoAnswer(sent=True, message="the position is gone, and the exchange does not say yet how"))
        self._flat_since_ms.pop(position.id, None)
        return Gone(CloseReason.EXTERNAL, tuple(dict.fromkeys(fill.order_id for fill in closing)))

    async def settle(self, exchange: Market, credentials: Credentials, position: Position, gone: Gone) -> Settled:
        """What a closed position earned, from the exchange's own list of trades. Raises Failed."""
        if not gone.order_ids:
            return Settled(gone.reason, None, None)
        entry = await exchange.fills(credentials, position.symbol, position.entry_order_id)
        exits = [
            fill for order_id in gone.order_ids for fill in await exchange.fills(credentials, position.symbol, order_id)
        ]
        earned = await exchange.earned(position, entry, exits)
        if earned is None:
            # a part was closed by other hands, or is not told yet: better no figure than a wrong one
            return Settled(gone.reason, None, None)
        before_fees, charged = earned
        realized = before_fees - await self._fees(exchange, charged)
        return Settled(gone.reason, profit.notional(exits) / profit.traded(exits), realized)

    async def _fees(self, exchange: Market, fills: Sequence[Fill]) -> Decimal:
        """Fees in USD. Accounts that burn BNB for fees pay in BNB, which is valued at its price now."""
        total = Decimal(0)
        for fill in fills:
            total += fill.fee * await exchange.price("BNBUSDT") if fill.fee_asset == "BNB" else fill.fee
        return total

    async def check(self, exchange: Market, credentials: Credentials, held: Held) -> bool:
        """Whether the position still stands; if not, record that and take its remains away. Raises Failed."""
        verdict = await self.look(exchange, credentials, held.position, held.work.job)
        if isinstance(verdict, Open):
            if verdict.lost:
                log.error("protection_lost", position_id=str(held.position.id), lost=verdict.lost)
            if self._beside_the_lanes:
                await self._repair(exchange, held, verdict)
            return True
        with urgent(Urgency.RESOLVE):  # a protection left behind may close what is not ours
            for _, name in held.position.protections:
                await exchange.cancel_protection(credentials, CancelProtection(held.position.symbol, name))
            settled = await self.settle(exchange, credentials, held.position, verdict)
        await self._store.close(held, Closed(held.position, settled), only_if_idle=self._beside_the_lanes)
        return False

    async def _repair(self, exchange: Market, held: Held, verdict: Open) -> None:
        """Have an executor do something about a stop-loss that does not protect, once it is certain that it is lost."""
        id_, now_ms = held.position.id, exchange.now_ms()
        if CloseReason.STOP_LOSS not in verdict.lost:
            self._lost_since_ms.pop(id_, None)
        elif verdict.left is not None:
            await self._finish_stop(held, verdict.left)
        elif now_ms - self._lost_since_ms.setdefault(id_, now_ms) >= _EXPLAINED_WITHIN_MS:

            def again(state: State) -> State:
                return protect_again(held.work, state, held.position, now_ms, is_alone=verdict.is_alone)

            if await self._store.reopen(held, again):
                log.warning("stop_loss_placed_again", position_id=str(id_))
                self._lost_since_ms.pop(id_, None)

    async def _finish_stop(self, held: Held, left: Left) -> None:
        """Have an executor close what a stop-loss left that triggered and was refused, or filled in part only."""
        market = held.work.job.config.market_type
        if await self._store.reopen(
            held, lambda state: finish_stop(market, state, held.position, left.quantity, left.order_ids)
        ):
            log.warning("stop_loss_finished_at_market", position_id=str(held.position.id), quantity=str(left.quantity))
