"""The system as a user starts it, in both its shapes, and a user's view of it over HTTP."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from conftest import AMQP, POSTGRES

ADMIN = {"email": "root@example.com", "password": "a test's own password"}
START_WITHIN_S = 60
PORTS = 20


def free_ports() -> int:
    """The first of a run of ports that nobody uses. By chance: another test run beside this one looks as well."""
    runs = range(20_000, 32_000, PORTS)
    for first in random.SystemRandom().sample(runs, len(runs)):
        if all(_is_free(first + offset) for offset in range(PORTS)):
            return first
    raise AssertionError("no ports are free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def started(module: str, environment: dict[str, str], *, ends_with: int = 0) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ready at its PORT; told to stop at the end, which it must do by itself, with this exit code."""
    log = Path(environment["DATA_DIR"], "log")
    address = {"EGRESS_ADDRESS": uuid4().hex}  # ports are used again, and Redis remembers
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=os.environ | address | environment, stdout=written, stderr=written
        )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{environment['PORT']}/readyz")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=30)
        assert code == ends_with, f"{module} ended with {code}: {log.read_text()[-4000:]}"


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        assert process.poll() is None, "ended instead of starting"
        try:
            with urllib.request.urlopen(url) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("not ready in time")


@pytest.fixture(scope="module")
def virtual_host() -> Iterator[str]:
    """RabbitMQ's address with a virtual host of this module's own."""
    name = f"tradecast_test_{uuid4().hex[:12]}"
    rabbitmqctl("add_vhost", name)
    rabbitmqctl("set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")
    yield AMQP.rstrip("/") + "/" + name
    rabbitmqctl("delete_vhost", name)


def rabbitmqctl(*command: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *command], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def stack_database() -> Iterator[str]:
    """A PostgreSQL database of this module's own; the stack makes it itself."""
    name = f"tradecast_test_{uuid4().hex[:12]}"
    yield POSTGRES.replace("postgresql://", "postgresql+asyncpg://", 1).rsplit("/", 1)[0] + f"/{name}"
    subprocess.run(["psql", POSTGRES, "-qc", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"], check=True)


@dataclass(frozen=True)
class Place:
    """Where a running system answers."""

    url: str
    paper_url: str


@pytest.fixture(scope="module", params=["one process", "separate processes"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The system, running: `make run` and `make stack` without make."""
    port = free_ports()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
        "LOG_LEVEL": "WARNING",
    }
    module = "embedded"
    if request.param == "separate processes":
        module = "tools.stack"
        environment |= {
            "EXECUTORS": "2",
            "AMQP_URL": request.getfixturevalue("virtual_host"),
            "DATABASE_URL": request.getfixturevalue("stack_database"),
        }
    with started(module, environment):
        yield Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")


@dataclass
class Customer:
    """A customer with a paper account and a subscription."""

    email: str
    user_id: str
    token: str
    api_key: str
    account_id: str
    subscription_id: str


@dataclass
class World:
    """A user's view of the running system."""

    place: Place
    session: aiohttp.ClientSession
    admin: str = ""
    bot: dict[str, Any] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> tuple[int, Any]:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.place.url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Any:
        status, answer = await self.call(method, path, body, token, **headers)
        assert status < 300, answer
        return answer

    async def paper(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.place.paper_url + path, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json(content_type=None)

    async def log_in(self, email: str, password: str) -> str:
        answer = await self.ask("POST", "/api/v1/auth/login", {"email": email, "password": password})
        token: str = answer["access_token"]
        return token

    async def make_bot(self, **changes: Any) -> dict[str, Any]:
        path = f"bot-{uuid4().hex[:8]}"
        body = {
            "name": "Bot Scalper BTC 5min",
            "market_type": "futures",
            "master_webhook_path": path,
            "master_secret": "minha-senha-super-secreta",
            "default_leverage": 10,
            "default_margin_usd": 100,
            "default_stop_loss_pct": 2.5,
            "default_take_profit_pct": 5.0,
        } | changes
        answer = await self.ask("POST", "/api/v1/bots", body, self.admin)
        self.bot = answer | {"path": body["master_webhook_path"]}
        return self.bot

    async def make_customer(self, balance: int = 10_000, **custom: Any) -> Customer:
        email = f"customer-{uuid4().hex[:8]}@example.com"
        credentials = {"email": email, "password": "a customer's password"}
        user = await self.ask("POST", "/api/v1/users", credentials | {"role": "customer"}, self.admin)
        token = await self.log_in(email, credentials["password"])
        key = await self.paper("POST", "/paper/accounts", {"balance_usdt": balance})
        account = await self.ask(
            "POST",
            "/api/v1/exchange-accounts",
            {"label": "mine", "exchange": "binance", "environment": "paper"} | key,
            token,
        )
        wanted = {"bot_id": self.bot["bot_id"], "exchange_account_id": account["exchange_account_id"]} | custom
        subscription = await self.ask("POST", "/api/v1/subscriptions", wanted, token)
        return Customer(
            email,
            user["user_id"],
            token,
            key["api_key"],
            account["exchange_account_id"],
            subscription["subscription_id"],
        )

    async def alert(self, wait_s: int = 25, **fields: Any) -> Any:
        body = {"ticker": "BTCUSDT", "action": "buy", "secret": "minha-senha-super-secreta", "price": 95234.50}
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        return await self.ask("POST", f"/api/v1/bots/webhook/master/{self.bot['path']}", body | fields, **headers)

    async def records(self, signal_id: str) -> dict[str, Any]:
        """Execution per user id."""
        answer = await self.ask("GET", f"/api/v1/executions?signal_id={signal_id}&limit=200", token=self.admin)
        return {item["user_id"]: item for item in answer["items"]}

    async def exchange(self, customer: Customer) -> tuple[Decimal, dict[str, Decimal]]:
        """What the exchange holds for a customer: quantity, and trigger price per protection."""
        state = await self.paper("GET", f"/paper/accounts/{customer.api_key}")
        held = sum((Decimal(row["positionAmt"]) for row in state["positions"]), Decimal(0))
        return held, {row["orderType"]: Decimal(row["triggerPrice"]) for row in state["open_algo_orders"]}


@pytest.fixture
async def world(place: Place) -> AsyncIterator[World]:
    """The running system with an administrator logged in and BTCUSDT at the source document's price."""
    async with aiohttp.ClientSession() as session:
        world = World(place, session)
        world.admin = await world.log_in(**ADMIN)
        await world.paper("DELETE", "/paper/faults")
        await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "95234.50"})
        yield world
