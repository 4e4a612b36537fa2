"""Buses to test: every transport, each test on queues of its own."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.exceptions import QueueEmpty

from shared.bus import Bus, Queue
from shared.bus.inprocess import InProcessBus
from shared.bus.rabbit import RabbitBus
from shared.bus.topology import QUEUES


def rabbitmqctl(*command: str) -> str:
    """Run the broker's own tool and return what it printed."""
    return subprocess.run(["rabbitmqctl", "--quiet", *command], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def own_vhost() -> Iterator[str]:
    """A virtual host of this test run's own."""
    name = f"tradecast_test_{uuid4().hex[:12]}"
    rabbitmqctl("add_vhost", name)
    try:
        rabbitmqctl("set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")
        yield name
    finally:
        rabbitmqctl("delete_vhost", name)


@pytest.fixture
async def broker_url(amqp_url: str, own_vhost: str) -> AsyncIterator[str]:
    """A RabbitMQ without queues."""
    url = amqp_url.rstrip("/") + "/" + own_vhost
    yield url
    async with await aio_pika.connect(url) as connection:
        for name in {queue.name for queue in QUEUES} | {queue.dead for queue in QUEUES}:
            async with connection.channel() as channel:
                await channel.queue_delete(name)


@dataclass(frozen=True, slots=True)
class Transport:
    """One way to build a bus, and to look at what it gave up on."""

    make: Callable[..., Bus]
    reasons: Callable[[Bus, Queue], Awaitable[dict[UUID, str]]]


async def _rabbit_reasons(url: str, queue: Queue) -> dict[UUID, str]:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        grave = await channel.get_queue(queue.dead, ensure=False)
        found: dict[UUID, str] = {}
        try:
            while True:
                message = await grave.get(no_ack=True)
                assert message.message_id
                found[UUID(message.message_id)] = str(message.headers["x-reason"])
        except QueueEmpty:
            return found


@pytest.fixture(params=["inprocess", "rabbitmq"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both transports; a test that takes this runs once on each."""
    if request.param == "inprocess":

        async def reasons(bus: Bus, queue: Queue) -> dict[UUID, str]:
            assert isinstance(bus, InProcessBus)
            letters = bus._dead[queue]
            assert bus.dead(queue) == [letter.envelope for letter in letters]
            return {letter.envelope.id: letter.reason for letter in letters}

        return Transport(InProcessBus, reasons)
    url: str = request.getfixturevalue("broker_url")
    return Transport(
        lambda queues=QUEUES: RabbitBus(url, "test", queues), lambda _bus, queue: _rabbit_reasons(url, queue)
    )


@pytest.fixture
async def bus(transport: Transport) -> AsyncIterator[Bus]:
    """A running bus."""
    bus = transport.make()
    async with bus.running():
        yield bus
