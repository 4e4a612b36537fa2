"""Builders of facts, and a ledger that runs with its HTTP side on a real connection."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from services.ledger.app import build
from services.ledger.settings import Settings
from shared.bus import Bus, Envelope
from shared.clock import Clock
from shared.contracts import (
    Action,
    AttentionEnded,
    AttentionNeeded,
    CloseReason,
    Doubt,
    EntriesAllowed,
    EntriesStopped,
    ExecutionFinished,
    ExecutionStatus,
    Message,
    PositionClosed,
    PositionOpened,
    Signal,
    SignalDispatched,
    SignalReceived,
    SubscriptionChanged,
    Verdict,
)
from shared.db.database import Database
from shared.ids import derived, execution_id
from shared.service import State
from shared.web import server
from shared.web.auth import Identity, Role, TokenIssuer, TokenVerifier

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BOT = UUID(int=0xB0)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of what no database can make a difference to."""

ADMIN = Identity(UUID(int=0xAD), Role.ADMIN)
ISSUER = TokenIssuer("A" * 43 + "=", timedelta(days=3650))


def customer(number: int) -> Identity:
    return Identity(UUID(int=0xC000 + number), Role.CUSTOMER)


def received(signal_id: UUID, *, bot_id: UUID = BOT, after_s: float = 0) -> SignalReceived:
    signal = Signal(
        signal_id=signal_id,
        bot_id=bot_id,
        action=Action.BUY,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=Decimal("95234.50"),
        source_ip="52.89.214.238",
        received_at=T0 + timedelta(seconds=after_s),
        body_digest="0" * 64,
    )
    return SignalReceived(id=signal_id, occurred_at=T0, signal=signal, payload={})  # the id as the gateway gives it


def dispatched(signal_id: UUID, total: int, *, bot_id: UUID = BOT) -> SignalDispatched:
    id_ = derived("dispatched", signal_id)
    return SignalDispatched(id=id_, occurred_at=T0, signal_id=signal_id, bot_id=bot_id, total_subscribers=total)


def finished(
    signal_id: UUID,
    subscription_id: UUID,
    *,
    user_id: UUID | None = None,
    bot_id: UUID = BOT,
    status: ExecutionStatus = ExecutionStatus.SUCCESS,
    **more: Any,
) -> ExecutionFinished:
    """The source document's own example, unless told otherwise."""
    example = {
        "ticker": "BTCUSDT",
        "action": "buy",
        "exchange_order_id": "123456789",
        "executed_price": Decimal("95234.50"),
        "executed_quantity": Decimal("0.031"),
        "stop_loss_order_id": "987654321",
        "take_profit_order_id": "111222333",
        "stop_loss_price": Decimal("93806.0"),
        "take_profit_price": Decimal("102853.2"),
        "execution_time_ms": 1234,
        "naked_ms": 87,
    }
    id_ = execution_id(signal_id, subscription_id)
    return ExecutionFinished(
        id=derived("finished", id_),
        occurred_at=T0,
        execution_id=id_,
        signal_id=signal_id,
        bot_id=bot_id,
        subscription_id=subscription_id,
        user_id=user_id or subscription_id,
        status=status,
        **(example | more),
    )


def opened(
    position_id: UUID, subscription_id: UUID, *, user_id: UUID | None = None, after_s: float = 0
) -> PositionOpened:
    return PositionOpened(
        id=derived("opened", position_id),
        occurred_at=T0 + timedelta(seconds=after_s),
        position_id=position_id,
        execution_id=position_id,
        signal_id=position_id,
        bot_id=BOT,
        subscription_id=subscription_id,
        user_id=user_id or subscription_id,
        ticker="BTCUSDT",
        side="long",
        quantity=Decimal("0.031"),
        entry_price=Decimal("95234.50"),
        stop_loss_price=Decimal("93806.0"),
    )


def closed(position_id: UUID, subscription_id: UUID, *, user_id: UUID | None = None) -> PositionClosed:
    return PositionClosed(
        id=derived("closed", position_id),
        occurred_at=T0 + timedelta(minutes=5),
        position_id=position_id,
        subscription_id=subscription_id,
        user_id=user_id or subscription_id,
        ticker="BTCUSDT",
        close_reason=CloseReason.TAKE_PROFIT,
        exit_price=Decimal("102853.2"),
        realized_pnl_usd=Decimal("233.71"),
    )


def subscribed(user_id: UUID, *, bot_id: UUID = BOT, status: Any = "active") -> SubscriptionChanged:
    id_ = derived("subscription", user_id, bot_id)
    return SubscriptionChanged(
        id=uuid4(), occurred_at=T0, subscription_id=id_, bot_id=bot_id, user_id=user_id, status=status
    )


def attention(attention_id: UUID, signal_id: UUID, *, user_id: UUID | None = None) -> dict[str, Any]:
    return {
        "attention_id": attention_id,
        "execution_id": derived("execution", attention_id),
        "signal_id": signal_id,
        "bot_id": BOT,
        "subscription_id": attention_id,
        "user_id": user_id or attention_id,
    }


def needed(attention_id: UUID, signal_id: UUID, *, user_id: UUID | None = None, after_s: float = 0) -> AttentionNeeded:
    return AttentionNeeded(
        id=derived("needed", attention_id),
        occurred_at=T0 + timedelta(seconds=after_s),
        action="buy",
        symbol="BTCUSDT",
        doubt=Doubt.ORDER_UNKNOWN,
        client_order_id="tc-x-e1",
        **attention(attention_id, signal_id, user_id=user_id),
    )


def attended(attention_id: UUID, signal_id: UUID, *, user_id: UUID | None = None) -> AttentionEnded:
    return AttentionEnded(
        id=derived("attended", attention_id),
        occurred_at=T0 + timedelta(minutes=9),
        ended_by=ADMIN.user_id,
        verdict=Verdict.NOT_PLACED,
        **attention(attention_id, signal_id, user_id=user_id),
    )


def entries_stopped(stop_id: UUID) -> EntriesStopped:
    return EntriesStopped(
        id=derived("stopped", stop_id),
        occurred_at=T0,
        stop_id=stop_id,
        environment="live",
        market_type="futures",
        exchange_code=-4120,
        message="New entries are stopped.",
    )


def entries_allowed(stop_id: UUID) -> EntriesAllowed:
    at = T0 + timedelta(minutes=5)
    return EntriesAllowed(id=derived("allowed", stop_id), occurred_at=at, stop_id=stop_id, allowed_by=ADMIN.user_id)


@dataclass(frozen=True, slots=True)
class House:
    """A running ledger."""

    database: Database
    bus: Bus
    client: TestClient[Any, Any]

    async def hear(self, *messages: Message) -> None:
        """Publish facts; returns when the ledger has committed them."""
        await self.bus.publish([Envelope.of(message) for message in messages], within_s=20)

    async def ask(self, path: str, caller: Identity = ADMIN) -> tuple[int, Any]:
        """The status and JSON of a GET below `/api/v1`."""
        async with self.client.get(f"/api/v1{path}", headers=bearer(caller)) as response:
            return response.status, await response.json()

    async def items(self, path: str, caller: Identity = ADMIN) -> list[Any]:
        """The items of a list's first page."""
        status, page = await self.ask(path, caller)
        assert status == 200, page
        items: list[Any] = page["items"]
        return items


def bearer(caller: Identity) -> dict[str, str]:
    return {"Authorization": f"Bearer {ISSUER.issue(caller, datetime.now(UTC))}"}


@asynccontextmanager
async def running(
    database: Database, bus: Bus, clock: Clock, *, consumes: bool = True, **settings: Any
) -> AsyncIterator[House]:
    """A ledger on `bus` with its HTTP side; one that does not consume stands by, as a second replica does."""
    service = build(Settings.model_construct(**({"change_poll_ms": 20} | settings)), database, bus, clock)
    state = State(service, started=True)
    async with AsyncExitStack() as stack:
        app = server.application([state], TokenVerifier(ISSUER.public_key))
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        parts: Sequence[Any] = service.parts if consumes else service.parts[:-1]
        for part in parts:
            await stack.enter_async_context(part())
        yield House(database, bus, client)
