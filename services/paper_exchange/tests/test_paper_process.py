"""The process: its exit codes, and that what it saved is there again."""

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from services.paper_exchange.settings import Settings
from services.paper_exchange.tests.exchange_client import Customer, start

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def spawn(**environment: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.paper_exchange",
        cwd=ROOT, env=inherited | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def until_ready(port: int) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(10):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "many"), ("PORT", "70000"), ("LOG_LEVEL", "loud"), ("PAPER_PRICES", "stroll")]
)
async def test_a_bad_variable_is_one_line_naming_it(name: str, value: str) -> None:
    process = await spawn(**{name: value})
    _, error = await process.communicate()
    assert process.returncode == 2
    assert error.decode().startswith(name)
    assert len(error.decode().splitlines()) == 1


async def test_it_is_ready_soon_and_ends_with_0_even_while_a_client_waits() -> None:
    port = free_port()
    process = await spawn(PORT=str(port))
    began = time.monotonic()
    await until_ready(port)
    assert time.monotonic() - began < 5
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        await session.post("/paper/faults", json={"kind": "timeout_before"})
        waiting = asyncio.create_task(session.get("/fapi/v1/ping"))
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await asyncio.gather(waiting, return_exceptions=True)


async def test_accounts_orders_and_prices_survive_kill_9(tmp_path: Path) -> None:
    port = free_port()
    process = await spawn(PORT=str(port), DATA_DIR=str(tmp_path))
    await until_ready(port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post("/paper/accounts", json={"balance_usdt": "777.5"}) as response:
            key = (await response.json())["api_key"]
        await session.put("/paper/prices/BTCUSDT", json={"price": "91234.5"})
    await asyncio.sleep(0.6)
    process.kill()
    await process.wait()
    running = await start(Settings(data_dir=tmp_path))
    try:
        book = await running.control("GET", f"/paper/accounts/{key}")
        assert book["balances"][0]["balance"] == "777.50000000"
        assert (await running.control("GET", "/fapi/v1/ticker/price?symbol=BTCUSDT"))["price"] == "91234.50"
    finally:
        await running.stop()


async def test_a_restart_keeps_protections_alive_and_ids_unique(tmp_path: Path) -> None:
    running = await start(Settings(data_dir=tmp_path))
    customer = await running.customer()
    entry = await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    before = await customer.book()
    await running.stop()
    running = await start(Settings(data_dir=tmp_path))
    try:
        customer = Customer(running, customer.api_key, customer.api_secret)
        assert await customer.book() == before
        await running.move("BTCUSDT", "92000")
        algo = await customer.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="s1")
        assert algo["algoStatus"] == "FINISHED"
        assert int(algo["actualOrderId"]) > entry["orderId"]
        assert (await customer.book())["positions"] == []
    finally:
        await running.stop()
