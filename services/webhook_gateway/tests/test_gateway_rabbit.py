"""Over a real RabbitMQ: what a 202 promises, and what is answered when the broker does not."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from pydantic import SecretStr

from services.webhook_gateway.app import build
from services.webhook_gateway.settings import Settings
from shared.bus.rabbit import RabbitBus
from shared.bus.tests.conftest import rabbitmqctl
from shared.bus.tests.support import Wire, wire
from shared.bus.topology import SIGNALS
from shared.contracts import BotEntry, SignalReceived, parse

WEBHOOK = "/api/v1/bots/webhook/master/scalper-btc-5min"


@pytest.fixture
def broker_url(amqp_url: str) -> Iterator[str]:
    """A virtual host of the test's own."""
    name = f"tradecast_test_{uuid4().hex[:12]}"
    rabbitmqctl("add_vhost", name)
    try:
        rabbitmqctl("set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")
        yield amqp_url.rstrip("/") + "/" + name
    finally:
        rabbitmqctl("delete_vhost", name)


@pytest.fixture
def over(key: str, clock: Any, an_entry: Any, served: Any) -> Any:
    """A client of a gateway whose broker is at the given URL."""

    async def snapshot() -> Sequence[BotEntry]:
        return (an_entry(),)

    @asynccontextmanager
    async def gateway(url: str) -> AsyncIterator[Any]:
        bus = RabbitBus(url, "webhook_gateway")
        service = build(Settings(webhook_secret_keys=SecretStr(key)), bus, clock, snapshot)
        async with served(replace(service, parts=(bus.running, *service.parts))) as client:
            yield client

    return gateway


async def test_after_a_202_the_signal_lies_in_the_dispatchers_queue(broker_url: str, over: Any, alert: Any) -> None:
    async with over(broker_url) as client:
        answer = await client.post(WEBHOOK, json=alert)
        signal_id = (await answer.json())["signal_id"]
    assert answer.status == 202
    async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(SIGNALS.name)
        message = await queue.get(no_ack=True)
    assert (message.message_id, message.delivery_mode) == (signal_id, aio_pika.DeliveryMode.PERSISTENT)
    received = parse(message.type or "", message.body)
    assert isinstance(received, SignalReceived)
    assert (str(received.signal.signal_id), received.signal.symbol) == (signal_id, "BTCUSDT")


@pytest.mark.parametrize("fate", ["gone", "frozen"])
async def test_without_the_brokers_answer_it_is_503_before_tradingview_gives_up(
    broker_url: str, over: Any, alert: Any, fate: str
) -> None:
    place = urlsplit(broker_url)
    async with wire(place.hostname or "", place.port or 5672) as line:
        await line.open()
        through = place._replace(netloc=f"{place.username}:{place.password}@127.0.0.1:{line.port}").geturl()
        async with over(through) as client:
            await _meet(line, fate)
            async with asyncio.timeout(2):  # TradingView waits 3 s
                answer = await client.post(WEBHOOK, json=alert)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            line.thaw()


async def _meet(line: Wire, fate: str) -> None:
    if fate == "gone":
        await line.shut()
    else:
        line.freeze()
