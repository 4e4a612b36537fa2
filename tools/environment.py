"""What the processes of a local installation read from their environment: `make -s env` prints it.

What is set already is kept; keys are made once and kept in DATA_DIR.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from shared import keys

# One process each: module, the port that it serves by default. Further executors count on from 8011.
PROCESSES = {
    "services.webhook_gateway": 8002,
    "services.bot_registry": 8003,
    "services.bot_registry.dispatcher": 8004,
    "services.ledger": 8005,
    "services.executor": 8006,
    "services.executor.watcher": 8007,
}
FRONT_PORT = 8000


def local(given: Mapping[str, str]) -> dict[str, str]:
    """Every variable that the processes need, on this machine's PostgreSQL, RabbitMQ and Redis unless `given` differs.

    `PORT` moves all of them: it is the front's, and each process keeps its distance to it.
    """
    data_dir = Path(given.get("DATA_DIR") or ".data").absolute()
    front = int(given.get("PORT") or FRONT_PORT)
    shift = front - FRONT_PORT
    defaults = {
        "HOST": "127.0.0.1",
        "DATABASE_URL": "postgresql+asyncpg://postgres@127.0.0.1:5432/tradecast",
        "AMQP_URL": "amqp://guest:guest@127.0.0.1:5672/",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "PAPER_EXCHANGE_URL": f"http://127.0.0.1:{front + 1}",
        "PUBLIC_URL": f"http://127.0.0.1:{front}",
        "WEBHOOK_GATEWAY_URL": f"http://127.0.0.1:{PROCESSES['services.webhook_gateway'] + shift}",
        "BOT_REGISTRY_URL": f"http://127.0.0.1:{PROCESSES['services.bot_registry'] + shift}",
        "LEDGER_URL": f"http://127.0.0.1:{PROCESSES['services.ledger'] + shift}",
        "TRUSTED_PROXIES": "127.0.0.1",  # the front
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": "admin-demo-password",
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "json",
        "LIVE_TRADING": "false",  # a local installation trades real money only when told to
        "DATA_DIR": str(data_dir),
        **keys.load_or_make(data_dir),
    }
    passed_on: tuple[str, ...] = (
        "EXECUTOR_DATABASE_URL",
        "LEDGER_DATABASE_URL",
        "BOT_REGISTRY_DATABASE_URL",
        "LIVE_TRADING",
    )
    passed_on += (
        "BINANCE_FUTURES_URL",
        "BINANCE_SPOT_URL",
        "BINANCE_TESTNET_FUTURES_URL",
        "BINANCE_TESTNET_SPOT_URL",
        "CALL_TIMEOUT_MS",
    )
    passed_on += ("ASK_AGAIN_AFTER_S",)
    passed_on += ("EGRESS_ADDRESS", "EGRESS_SHARES")
    chosen = {name: given[name] for name in (*defaults, *passed_on) if given.get(name)}
    return defaults | chosen


if __name__ == "__main__":
    for name, value in local(os.environ).items():
        print(f"{name}={value}")
