"""Each process alone, as an operator meets it; and the one-process mode stopped and started again."""

import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.system.conftest import ADMIN, Place, World, free_ports, started
from tools.environment import PROCESSES, local

SECRETS = ("SERVICE_TOKEN", "WEBHOOK_SECRET_KEYS", "TOKEN_PRIVATE_KEY", "SEALING_PRIVATE_KEYS")


@pytest.mark.parametrize("module", PROCESSES)
def test_without_its_environment_a_process_names_what_is_missing_and_exits_2(module: str) -> None:
    bare = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-m", module], env=bare, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    [line] = ended.stderr.strip().splitlines()
    assert line.endswith("is missing")


def test_a_bad_variable_is_named_and_its_value_is_not_shown(tmp_path: Path) -> None:
    environment = local({"DATA_DIR": str(tmp_path)}) | {"PATH": os.environ["PATH"], "SEALING_PRIVATE_KEYS": "c2hvcnQ="}
    ended = subprocess.run(
        [sys.executable, "-m", "services.executor"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    [line] = ended.stderr.strip().splitlines()
    assert line.startswith("SEALING_PRIVATE_KEYS is not usable")
    assert "c2hvcnQ" not in line


def test_the_environment_is_whole_and_its_keys_are_made_once(tmp_path: Path) -> None:
    first, second = local({"DATA_DIR": str(tmp_path)}), local({"DATA_DIR": str(tmp_path)})
    assert first == second
    assert all(first[name] for name in SECRETS)
    assert local({"DATA_DIR": str(tmp_path), "AMQP_URL": "amqp://else/"})["AMQP_URL"] == "amqp://else/"
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


async def test_a_second_start_finds_its_data(tmp_path: Path) -> None:
    port = free_ports()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(tmp_path),
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
    }
    place = Place(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
    async with aiohttp.ClientSession() as session:
        world = World(place, session)
        with started("embedded", environment):
            world.admin = await world.log_in(**ADMIN)
            await world.make_bot()
            customer = await world.make_customer()
            await world.alert()
        with started("embedded", environment):
            held, protections = await world.exchange(customer)
            assert held > 0
            assert set(protections) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
            answer = await world.alert(action="close")
            assert answer["successful_executions"] == 1
            assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin))["records"] == 2


async def test_live_accounts_are_refused_in_one_process(tmp_path: Path) -> None:
    port = free_ports()
    environment = {"PORT": str(port), "DATA_DIR": str(tmp_path)} | {
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
    }
    async with aiohttp.ClientSession() as session:
        world = World(Place(f"http://127.0.0.1:{port}", ""), session)
        with started("embedded", environment):
            token = await world.log_in(**ADMIN)
            key = {"label": "real", "exchange": "binance", "environment": "live", "api_key": "k", "api_secret": "s"}
            status, answer = await world.call("POST", "/api/v1/exchange-accounts", key, token)
    assert (status, answer["code"]) == (422, "live_trading_disabled")
