"""`python -m services.paper_exchange`: the exchange alone, until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sqlite3
import sys

import structlog
from aiohttp import web
from pydantic import ValidationError

from services.paper_exchange.app import build
from services.paper_exchange.settings import Settings

BAD_SETTING = 2


def main() -> int:
    """Run and return the exit code: 0 after a signal, 2 for a bad variable, named in one line."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        print(f"{str(first['loc'][0]).upper()}: {first['msg']}", file=sys.stderr)
        return BAD_SETTING
    _configure_logging(settings)
    try:
        asyncio.run(_run(settings))
    except (OSError, sqlite3.Error) as error:
        print(f"HOST/PORT/DATA_DIR: {error}", file=sys.stderr)
        return BAD_SETTING
    return 0


async def _run(settings: Settings) -> None:
    """Serve until told to stop, then finish what runs."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(build(settings), access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=4096).start()
        structlog.get_logger().info("paper_exchange_started", host=settings.host, port=runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()
    structlog.get_logger().info("paper_exchange_stopped")


def _configure_logging(settings: Settings) -> None:
    renderer = structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
    )


if __name__ == "__main__":
    sys.exit(main())
