"""Every process is restarted while a signal runs: nobody can tell from what comes of it.

ROLLING_SUBSCRIBERS says for how many. An entry costs some 24 units of request weight, so that more than about a hundred
wait for the next minute of the exchange's limit.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from services.bot_registry.tables import exchange_accounts, subscriptions, users
from shared import ids, keys
from shared.clock import SystemClock
from shared.db.database import Database
from shared.sealing import Credentials, Sealer
from tests.system.conftest import ADMIN, Place, World
from tests.system.stack import Stack, running_stack

SUBSCRIBERS = int(os.environ.get("ROLLING_SUBSCRIBERS", "40"))
AT_ONCE = (
    "services.webhook_gateway",
    "services.bot_registry",
    "services.bot_registry.dispatcher",
    "services.executor.watcher",
    "services.ledger",
)
EXECUTOR = "services.executor"


@pytest.fixture
def stack(virtual_host: str, stack_database: str, tmp_path: Path) -> Iterator[Stack]:
    with running_stack(virtual_host, stack_database, tmp_path, EXECUTORS="2", EGRESS_SHARES="1") as stack:
        yield stack


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        world = World(Place(f"http://127.0.0.1:{stack.port}", f"http://127.0.0.1:{stack.port + 1}"), session)
        world.admin = await world.log_in(**ADMIN)
        yield world


async def subscribe(world: World, stack: Stack, count: int) -> list[str]:
    """Subscribers as the registry would write them down, without hashing a password for each; their paper keys."""
    sealer = Sealer(keys.load_or_make(stack.log.parent)["SEALING_PUBLIC_KEY"])
    now, rows = SystemClock().now(), []
    for _ in range(count):
        key = await world.paper("POST", "/paper/accounts", {"balance_usdt": 10_000})
        rows.append((ids.fresh(), ids.fresh(), ids.fresh(), key["api_key"], key["api_secret"]))
    database = Database(stack.database, "registry")
    common = {"created_at": now}
    async with database.transaction() as tx:
        people = [
            {"id": user, "email": f"{user}@example.com", "password_hash": "", "role": "customer"} | common
            for user, *_ in rows
        ]
        await tx.connection.execute(insert(users), people)
        accounts = [
            {
                "id": account,
                "user_id": user,
                "label": "mine",
                "exchange": "binance",
                "environment": "paper",
                "key_digest": str(account),
                "api_key_last4": key[-4:],
                "sealed_credentials": sealer.seal(Credentials(SecretStr(key), SecretStr(secret)), account),
                "last_sequence": 0,
            }
            | common
            for user, account, _, key, secret in rows
        ]
        await tx.connection.execute(insert(exchange_accounts), accounts)
        bot_id = UUID(world.bot["bot_id"])
        following = [
            {"id": s, "bot_id": bot_id, "user_id": user, "exchange_account_id": account, "status": "active"} | common
            for user, account, s, *_ in rows
        ]
        await tx.connection.execute(insert(subscriptions), following)
    await database.engine.dispose()
    return [key for *_, key, _ in rows]


async def restart(stack: Stack, module: str, number: int = 0) -> None:
    """Tell the oldest process of a module to end, and wait until another one stands in its place."""
    old = stack.pids(module)
    os.kill(old[number], signal.SIGTERM)
    async with asyncio.timeout(60):
        while len(new := stack.pids(module)) < len(old) or old[number] in new:
            await asyncio.sleep(0.1)


async def alert(world: World, action: str) -> str:
    """As TradingView does: again on 503."""
    body = {"ticker": "BTCUSDT", "action": action, "secret": "minha-senha-super-secreta", "price": 95234.50}
    while True:
        status, answer = await world.call("POST", f"/api/v1/bots/webhook/master/{world.bot['path']}", body)
        if status == 202:
            signal_id: str = answer["signal_id"]
            return signal_id
        await asyncio.sleep(1)


async def outcomes(world: World, signal_id: str) -> Counter[str]:
    async with asyncio.timeout(300):
        while True:
            status, answer = await world.call("GET", f"/api/v1/signals/{signal_id}?wait=5", token=world.admin)
            if status == 200 and answer["status"] == "settled":
                break
            await asyncio.sleep(0.2)
    counted: Counter[str] = Counter()
    path: str | None = f"/api/v1/executions?signal_id={signal_id}&limit=200"
    while path:
        page = await world.ask("GET", path, token=world.admin)
        counted.update(item["error_code"] or item["status"] for item in page["items"])
        cursor = page["next_cursor"]
        path = f"/api/v1/executions?signal_id={signal_id}&limit=200&cursor={cursor}" if cursor else None
    return counted


@pytest.mark.timeout(600)
async def test_a_rolling_restart_of_everything_is_invisible_in_the_result(world: World, stack: Stack) -> None:
    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "95234.50"})
    await world.make_bot(max_signal_age_seconds=600)
    api_keys = await subscribe(world, stack, SUBSCRIBERS)
    slow = {"match": {"path": "/fapi/v1/algoOrder"}, "kind": "latency", "latency_ms": 1500, "times": 10**6}
    await world.paper("POST", "/paper/faults", slow)

    bought = await alert(world, "buy")
    restarts = [asyncio.create_task(restart(stack, EXECUTOR))]
    for module in AT_ONCE:
        await asyncio.sleep(0.3)
        restarts.append(asyncio.create_task(restart(stack, module)))
    await asyncio.gather(*restarts)
    turned = await alert(world, "sell")
    await asyncio.sleep(1)
    await restart(stack, EXECUTOR)  # the other one

    assert await outcomes(world, bought) == {"success": SUBSCRIBERS}
    assert await outcomes(world, turned) == {"success": SUBSCRIBERS}
    assert stack.exit_codes() == [0] * (len(AT_ONCE) + 2)
    for api_key in api_keys:
        state = await world.paper("GET", f"/paper/accounts/{api_key}")
        sides = [order["side"] for order in state["orders"] if order["book"] == "order"]
        assert sides == ["BUY", "SELL", "SELL"]
        assert [Decimal(row["positionAmt"]) for row in state["positions"] if Decimal(row["positionAmt"])] == [
            Decimal("-0.010")
        ]
        assert {row["orderType"] for row in state["open_algo_orders"]} == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
    assert await world.ask("GET", "/api/v1/audit/verify", token=world.admin) == {"ok": True, "records": 2 * SUBSCRIBERS}
