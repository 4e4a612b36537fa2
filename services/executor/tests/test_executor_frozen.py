"""A process frozen between signing and sending, and woken when its successor has finished: it must come too late.

Real processes on PostgreSQL: the frozen one is `freezing_executor`, its successor runs here.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from services.executor.tests.conftest import Customer, House
from services.executor.tests.test_executor_flow import amount, market_orders, triggers
from shared.contracts import ExecutionFinished

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
BOTH = {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


@dataclass
class Frozen:
    """A process that will have frozen itself."""

    process: "subprocess.Popen[str]"

    async def is_frozen(self) -> None:
        async with asyncio.timeout(30):
            while not self._has_frozen():
                await asyncio.sleep(0.02)

    def _has_frozen(self) -> bool:
        pid, status = os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)
        assert not pid or os.WIFSTOPPED(status), "it ended instead of freezing"
        return bool(pid)

    async def wakes(self) -> str:
        """Let it go on; what the exchange answered to the request that it had signed."""
        self.process.send_signal(signal.SIGCONT)
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).strip()


@contextmanager
def freezing(house: House, database_url: str, at: str) -> Iterator[Frozen]:
    environment = {
        "FREEZE_AT": at,
        "DATABASE_URL": database_url,
        "PAPER_EXCHANGE_URL": house.paper.url,
        "SEALING_PRIVATE_KEYS": house.settings.sealing_private_keys.get_secret_value(),
        "CALL_TIMEOUT_MS": str(house.settings.call_timeout_ms),
        "AMQP_URL": "amqp://nobody/",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.executor.tests.freezing_executor"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Frozen(process)
    finally:
        process.kill()
        process.communicate()


async def play(house: House, database_url: str, at: str, *actions: str) -> tuple[Customer, ExecutionFinished, int, str]:
    """The actions for one customer by a process that freezes; the last one's end, brought about by its successor.

    Then how many market orders there were when the frozen one woke, and what the exchange answered it.
    """
    customer = await house.customer()
    ids = [await house.store(action, customer) for action in actions]
    with freezing(house, database_url, at) as frozen:
        await frozen.is_frozen()
        async with AsyncExitStack() as stack:
            await house.start(stack)
            done = await house.finished(ids[-1])
            before = len(await market_orders(house, customer))
            answer = await frozen.wakes()
            await asyncio.sleep(0.5)  # whatever it may do now it does
    return customer, done, before, answer


async def test_an_entry_is_recorded_as_not_placed_and_its_late_request_is_refused(
    idle_house: House, database_url: str
) -> None:
    customer, done, before, answer = await play(idle_house, database_url, "POST /fapi/v1/order 1", "buy")
    assert answer == "refused -1021"
    assert (done.status, done.error_code) == ("failed", "not_placed")
    assert before == len(await market_orders(idle_house, customer)) == 0
    assert await amount(idle_house, customer) == 0
    assert await triggers(idle_house, customer) == {}


async def test_a_stop_loss_is_placed_by_the_successor_and_the_late_request_is_refused(
    idle_house: House, database_url: str
) -> None:
    customer, done, before, answer = await play(idle_house, database_url, "POST /fapi/v1/algoOrder 1", "buy")
    assert answer == "refused -1021"
    assert (done.status, done.error_code) == ("success", None)
    assert before == len(await market_orders(idle_house, customer)) == 1
    assert await amount(idle_house, customer) == Decimal("0.010")
    state = await idle_house.paper.state(customer.api_key)
    assert sorted(row["orderType"] for row in state["open_algo_orders"]) == sorted(BOTH)


async def test_an_exit_is_done_again_by_the_successor_and_the_late_request_is_refused(
    idle_house: House, database_url: str
) -> None:
    customer, done, before, answer = await play(idle_house, database_url, "POST /fapi/v1/order 2", "buy", "close")
    assert answer == "refused -1021"
    assert (done.status, done.error_code) == ("success", None)
    assert before == len(await market_orders(idle_house, customer)) == 2
    assert await amount(idle_house, customer) == 0
    assert await triggers(idle_house, customer) == {}
    assert len(idle_house.closed()) == 1
