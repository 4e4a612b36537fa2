"""What an operator does with messages that could not be handled, on a real RabbitMQ."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from shared.bus import Envelope, Poison
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import LEDGER
from shared.clock import SystemClock
from shared.contracts import Message, SubscriptionChanged
from tests.system.conftest import virtual_host
from tools import dead_letters

__all__ = ["virtual_host"]


async def test_dead_letters_are_counted_shown_and_given_back(virtual_host: str) -> None:
    bus = RabbitBus(virtual_host, "test")
    fact = SubscriptionChanged(
        id=uuid4(),
        occurred_at=SystemClock().now(),
        subscription_id=uuid4(),
        bot_id=uuid4(),
        user_id=uuid4(),
        status="active",
    )
    assert (await dead_letters.count(virtual_host))[LEDGER.name] == 0

    async def refuse(_messages: Sequence[Message]) -> None:
        raise Poison("no such thing")

    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def hear(messages: Sequence[Message]) -> None:
        for message in messages:
            heard.put_nowait(message)

    async with bus.running():
        async with bus.consuming(LEDGER, refuse):
            await bus.publish([Envelope.of(fact)], within_s=5)
            async with asyncio.timeout(5):
                while (await dead_letters.count(virtual_host))[LEDGER.name] == 0:
                    await asyncio.sleep(0.05)
        for _ in range(2):  # showing takes nothing away
            [line] = await dead_letters.show(virtual_host, LEDGER)
            assert str(fact.id) in line
            assert "no such thing" in line
        assert await dead_letters.replay(virtual_host, LEDGER, str(uuid4())) == 0
        assert (await dead_letters.count(virtual_host))[LEDGER.name] == 1
        assert await dead_letters.replay(virtual_host, LEDGER, str(fact.id)) == 1
        async with bus.consuming(LEDGER, hear), asyncio.timeout(5):
            assert await heard.get() == fact
    assert (await dead_letters.count(virtual_host))[LEDGER.name] == 0
