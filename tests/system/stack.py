"""A running system of separate processes whose parts can be taken away, and given back."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg

from shared.bus.topology import QUEUES
from tests.system.conftest import ADMIN, free_ports, rabbitmqctl, started


@dataclass
class Stack:
    """A running system whose parts can be taken away."""

    supervisor: int
    port: int
    broker: str
    database: str
    log: Path

    def pause_restarts(self) -> None:
        os.kill(self.supervisor, signal.SIGSTOP)

    def resume_restarts(self) -> None:
        os.kill(self.supervisor, signal.SIGCONT)

    def pids(self, module: str) -> list[int]:
        """The processes of a module, the oldest first."""
        listed = subprocess.run(
            ["ps", "--ppid", str(self.supervisor), "-o", "pid=,args=", "--sort", "start_time"],
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if line.endswith(f"-m {module}")]

    def kill(self, module: str) -> None:
        [pid] = self.pids(module)
        os.kill(pid, signal.SIGKILL)

    def exit_codes(self) -> list[int]:
        """How processes ended that were started again."""
        return [int(code) for code in re.findall(r"ended with (-?[0-9]+); starting it again", self.log.read_text())]

    async def lose_every_message(self) -> None:
        """The broker forgets everything: queues, exchanges, connections."""
        name = urlsplit(self.broker).path[1:]
        await asyncio.to_thread(rabbitmqctl, "delete_vhost", name)
        await asyncio.to_thread(rabbitmqctl, "add_vhost", name)
        await asyncio.to_thread(rabbitmqctl, "set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")

    async def delete_queues(self) -> None:
        """An operator deletes the queues under their consumers."""
        async with await aio_pika.connect(self.broker) as connection, connection.channel() as channel:
            for queue in QUEUES:
                await channel.queue_delete(queue.name)  # one that is not there is as good as deleted

    async def count(self, query: str) -> int:
        connection = await asyncpg.connect(self.database.replace("+asyncpg", ""))
        try:
            found: int = await connection.fetchval(query)
            return found
        finally:
            await connection.close()

    async def until(self, query: str, number: int) -> None:
        async with asyncio.timeout(20):
            while await self.count(query) < number:
                await asyncio.sleep(0.05)


@contextmanager
def running_stack(broker: str, database: str, folder: Path, **environment: str) -> Iterator[Stack]:
    """All processes over this broker and database, until the end of the block."""
    port = free_ports()
    common = {
        "PORT": str(port),
        "DATA_DIR": str(folder),
        "ADMIN_EMAIL": ADMIN["email"],
        "ADMIN_PASSWORD": ADMIN["password"],
        "LOG_LEVEL": "ERROR",
        "AMQP_URL": broker,
        "DATABASE_URL": database,
    }
    with started("tools.stack", common | environment) as process:
        yield Stack(process.pid, port, broker, database, folder / "log")
