"""From what the machine tells to the messages that others read. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from services.executor.state import (
    Attention,
    AttentionBegan,
    AttentionOver,
    Closed,
    Finished,
    Opened,
    Told,
    Trade,
    Work,
)
from shared.contracts import (
    AttentionEnded,
    AttentionNeeded,
    ExecutionFinished,
    ExecutionStatus,
    Message,
    PositionClosed,
    PositionOpened,
)
from shared.ids import derived


@dataclass(frozen=True, slots=True)
class Reporter:
    """Words the facts of one execution. Every message's id follows from its fact: told twice, it is the same."""

    work: Work
    now: datetime
    arrived_at: datetime

    def message(self, fact: Told) -> Message:
        """The message that tells a fact."""
        match fact:
            case Opened(position):
                signal, job = self.work.signal, self.work.job
                return PositionOpened(
                    id=derived("opened", position.id),
                    occurred_at=self.now,
                    position_id=position.id,
                    execution_id=job.execution_id,
                    signal_id=signal.signal_id,
                    bot_id=signal.bot_id,
                    subscription_id=job.subscription_id,
                    user_id=job.user_id,
                    ticker=position.symbol,
                    side=position.direction,
                    quantity=position.quantity,
                    entry_price=position.entry_price,
                    stop_loss_price=position.stop_price,
                    take_profit_price=position.target_price,
                )
            case Closed(position, settled):
                return PositionClosed(
                    id=derived("closed", position.id),
                    occurred_at=self.now,
                    position_id=position.id,
                    subscription_id=self.work.job.subscription_id,
                    user_id=self.work.job.user_id,
                    ticker=position.symbol,
                    close_reason=settled.reason,
                    exit_price=settled.exit_price,
                    realized_pnl_usd=settled.realized_usd,
                )
            case AttentionBegan(attention):
                return AttentionNeeded(
                    **self._attention("attention needed", attention),
                    action=self.work.signal.action,
                    symbol=attention.symbol or self.work.signal.symbol,
                    doubt=attention.doubt,
                    client_order_id=attention.client_id,
                )
            case AttentionOver(attention):
                return AttentionEnded(
                    **self._attention("attention ended", attention),
                    ended_by=attention.ended_by,
                    verdict=attention.verdict,
                )
            case Finished(trade):
                return self._finished(trade)

    def _attention(self, what: str, attention: Attention) -> dict[str, Any]:
        signal, job = self.work.signal, self.work.job
        attention_id = derived("attention", job.execution_id, attention.since_ms)
        return {
            "id": derived(what, attention_id),
            "occurred_at": self.now,
            "attention_id": attention_id,
            "execution_id": job.execution_id,
            "signal_id": signal.signal_id,
            "bot_id": signal.bot_id,
            "subscription_id": job.subscription_id,
            "user_id": job.user_id,
        }

    def _finished(self, trade: Trade) -> ExecutionFinished:
        signal, job, failure = self.work.signal, self.work.job, trade.failure
        order_id, price, quantity = _traded(trade)
        return ExecutionFinished(
            id=derived("finished", job.execution_id),
            occurred_at=self.now,
            execution_id=job.execution_id,
            signal_id=signal.signal_id,
            bot_id=signal.bot_id,
            subscription_id=job.subscription_id,
            user_id=job.user_id,
            ticker=signal.symbol,
            action=signal.action,
            status=failure.status if failure else ExecutionStatus.SUCCESS,
            exchange_order_id=order_id,
            executed_price=price,
            executed_quantity=quantity,
            stop_loss_order_id=trade.stop.order_id if trade.stop else None,
            take_profit_order_id=trade.target.order_id if trade.target else None,
            stop_loss_price=trade.stop.protection.trigger if trade.stop else None,
            take_profit_price=trade.target.protection.trigger if trade.target else None,
            error_code=failure.code if failure else None,
            exchange_code=failure.exchange_code if failure else None,
            error_message=failure.message if failure else None,
            error_message_pt=failure.message_pt if failure else None,
            execution_time_ms=max(0, round((self.now - self.arrived_at).total_seconds() * 1000)),
            naked_ms=trade.naked_ms,
        )


def _traded(trade: Trade) -> tuple[str | None, Decimal | None, Decimal | None]:
    """Order id, price and quantity of the record: the entry's, else the exit's; several exits have only their ids."""
    if trade.order is not None:
        return trade.order.order_id, trade.price, trade.order.executed_quantity
    if len(trade.exit_orders) == 1:
        order = trade.exit_orders[0]
        return order.order_id, order.average_price, order.executed_quantity
    # perhaps of several symbols: a sum or an average would mean nothing
    return ",".join(order.order_id for order in trade.exit_orders) or None, None, None
