"""An accepted signal whose end is not heard is told again, in case the broker lost it."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.webhook_gateway.tests.conftest import FakeBus, Start
from shared.bus import PublishUnknown
from shared.contracts import SignalReceived, SignalSettled


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def settled(signal: SignalReceived) -> SignalSettled:
    return SignalSettled(
        id=signal.id,
        occurred_at=signal.occurred_at,
        signal_id=signal.signal.signal_id,
        bot_id=signal.signal.bot_id,
        total_subscribers=0,
        successful_executions=0,
        failed_executions=0,
        skipped_executions=0,
    )


async def test_what_is_not_settled_in_its_time_is_told_again_as_it_was(start: Start, alert: Any) -> None:
    gateway = await start(ask_again_after_s=0.1)
    gateway.bus.gives_receipts = True
    await gateway.post(alert)
    await until(lambda: len(gateway.bus.published) >= 2)
    assert len(set(gateway.bus.published)) == 1


async def test_what_is_settled_or_was_never_accepted_is_not_told_again(start: Start, alert: Any) -> None:
    gateway = await start(ask_again_after_s=0.1)
    bus: FakeBus = gateway.bus
    bus.gives_receipts = True

    async def settle(signal: SignalReceived) -> None:
        await bus.deliver(settled(signal))  # heard before `publish` has returned

    bus.on_publish = settle
    assert (await gateway.post(alert)).status == 202
    bus.failure = PublishUnknown("no answer")
    assert (await gateway.post(alert)).status == 503
    bus.failure = None
    await asyncio.sleep(0.7)  # longer than the pause and a look
    assert len(bus.published) == 1
