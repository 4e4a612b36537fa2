"""Breaks a running system, by the book of a seed, until enough of its processes were killed."""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from conftest import POSTGRES
from tests.chaos.outage import Outage
from tests.system.conftest import Place, World

MODULES = (
    "services.webhook_gateway",
    "services.bot_registry",
    "services.bot_registry.dispatcher",
    "services.executor",
    "services.executor",  # there are two, and they matter most
    "services.executor.watcher",
    "services.ledger",
)
_ORDERS = ("/fapi/v1/order", "/fapi/v1/algoOrder", "/api/v3/order", "/api/v3/orderList/oco")
_FAULTS = ("timeout_before", "timeout_after", "http_503_unknown", "http_503_failed")


@dataclass(frozen=True)
class Stack:
    """A running system and the handles by which it is broken."""

    place: Place
    supervisor: int
    virtual_host: str
    database: str
    broker_outage: Outage
    database_outage: Outage


class Breaker:
    """What was broken, and how often."""

    def __init__(self, stack: Stack, world: World, chance: random.Random) -> None:
        self.broken: Counter[str] = Counter()
        self.kills = 0
        self._stack, self._world, self._chance = stack, world, chance
        self._frozen: list[asyncio.Task[None]] = []

    async def run(self, kills: int) -> None:
        others = [self._freeze, self._cut_broker, self._cut_database, self._fault, self._fault, self._outage]
        kinds = [*[self._kill] * (2 * len(others)), *others]
        while self.kills < kills:
            await asyncio.sleep(self._chance.uniform(0.2, 1.8))
            self.broken[await self._chance.choice(kinds)()] += 1
        for kind in others:  # a short run, too, has some of each
            self.broken[await kind()] += 1
        await asyncio.gather(*self._frozen)

    def _victim(self) -> tuple[int, str] | None:
        module = self._chance.choice(MODULES)
        listed = subprocess.run(
            ["ps", "--ppid", str(self._stack.supervisor), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=True,
        )
        pids = [int(line.split()[0]) for line in listed.stdout.splitlines() if line.endswith(f"-m {module}")]
        return (self._chance.choice(pids), module) if pids else None

    async def _kill(self) -> str:
        victim = self._victim()
        if victim is None:
            return "nobody to kill"
        os.kill(victim[0], signal.SIGKILL)
        self.kills += 1
        return f"kill {victim[1]}"

    async def _freeze(self) -> str:
        victim = self._victim()
        if victim is None:
            return "nobody to freeze"
        os.kill(victim[0], signal.SIGSTOP)
        self._frozen.append(asyncio.create_task(self._thaw(victim[0])))
        return f"freeze {victim[1]}"

    async def _thaw(self, pid: int) -> None:
        await asyncio.sleep(self._chance.uniform(0.5, 12))  # shorter and longer than a lease
        with suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)

    async def _cut_broker(self) -> str:
        await asyncio.to_thread(
            subprocess.run,
            ["rabbitmqctl", "--quiet", "close_all_connections", "--vhost", self._stack.virtual_host, "chaos"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return "cut broker connections"

    async def _cut_database(self) -> str:
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._stack.database}'"
        await asyncio.to_thread(subprocess.run, ["psql", POSTGRES, "-qc", query], check=True, stdout=subprocess.DEVNULL)
        return "cut database connections"

    async def _outage(self) -> str:
        name, outage = self._chance.choice(
            [("broker", self._stack.broker_outage), ("database", self._stack.database_outage)]
        )
        await outage.last(self._chance.uniform(1, 4))
        return f"{name} away for seconds"

    async def _fault(self) -> str:
        kind = self._chance.choice(_FAULTS)
        fault = {"match": {"path": self._chance.choice(_ORDERS)}, "kind": kind, "times": self._chance.randint(1, 5)}
        await self._world.paper("POST", "/paper/faults", fault)
        return f"exchange {kind}"
