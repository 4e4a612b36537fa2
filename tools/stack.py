"""The whole system as separate processes on a local PostgreSQL, RabbitMQ and Redis: `make stack`.

Migrates, starts the paper exchange (unless PAPER_EXCHANGE_URL names one), one process per service, EXECUTORS
executors, and a front that gives them one origin. A process that dies is started again. SIGTERM and Ctrl-C stop all.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from tools import front, migrate
from tools.environment import FRONT_PORT, PROCESSES, local

_AGAIN_AFTER_S = 1.0
_STOP_WITHIN_S = 28.0
_READY_WITHIN_S = 60.0
_CANNOT_START = 2  # exit code of a process whose environment is wrong: starting it again helps nobody


class Supervised:
    """One process, started again when it dies."""

    def __init__(self, module: str, port: int, environment: dict[str, str]) -> None:
        self.module, self.port = module, port
        self.environment = os.environ | environment | {"PORT": str(port)}
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it running until cancelled, then have it drain."""
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", self.module, env=self.environment
                )
                code = await self._process.wait()
                if code == _CANNOT_START:
                    sys.exit(f"{self.module} cannot start: see above")
                print(f"{self.module} on port {self.port} ended with {code}; starting it again", flush=True)
                await asyncio.sleep(_AGAIN_AFTER_S)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ready(self) -> None:
        """Wait until it says that it is ready."""
        async with aiohttp.ClientSession() as session:
            while not await _answers(session, f"http://127.0.0.1:{self.port}/readyz"):
                await asyncio.sleep(0.1)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == web.HTTPOk.status_code
    except aiohttp.ClientError:
        return False


def processes(environment: dict[str, str], port: int, executors: int) -> list[Supervised]:
    """What is to run, the paper exchange first where it is ours."""
    shift = port - FRONT_PORT
    wanted = [(module, number + shift) for module, number in PROCESSES.items()]
    # the executors and the watcher ask the exchange from one address
    environment = {"EGRESS_SHARES": str(executors + 1)} | environment
    wanted += [("services.executor", 8010 + number + shift) for number in range(1, executors)]
    if environment["PAPER_EXCHANGE_URL"] == f"http://127.0.0.1:{port + 1}":
        wanted.insert(0, ("services.paper_exchange", port + 1))
    return [Supervised(module, number, environment) for module, number in wanted]


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    environment = local(os.environ)
    port = int(os.environ.get("PORT") or FRONT_PORT)
    await migrate.main(environment)
    running = processes(environment, port, int(os.environ.get("EXECUTORS") or 1))
    runner = web.AppRunner(front.build(environment), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    tasks = [asyncio.create_task(process.run()) for process in running]
    stopping = asyncio.create_task(stop.wait())
    try:
        if await _unless(stopping, tasks, lambda: _ready(running)):
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print(f"Tradecast: http://127.0.0.1:{port}   processes: {len(running)}", flush=True)
            print(
                f"Log in as {environment['ADMIN_EMAIL']} with the password of ADMIN_PASSWORD (make -s env)", flush=True
            )
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await runner.cleanup()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, SystemExit):
            raise error


async def _ready(running: list[Supervised]) -> None:
    async with asyncio.timeout(_READY_WITHIN_S):
        await asyncio.gather(*(process.ready() for process in running))


async def _unless(
    stopping: "asyncio.Task[bool]", tasks: list["asyncio.Task[None]"], action: Callable[[], Awaitable[None]]
) -> bool:
    """Do `action`; false when told to stop, or when a process cannot start, before it is done."""
    doing = asyncio.ensure_future(action())
    await asyncio.wait({stopping, doing, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    if not doing.done():
        doing.cancel()
        return False
    doing.result()
    return True


if __name__ == "__main__":
    asyncio.run(main())
