"""A server that goes away and comes back, as its clients see it: a proxy in front of it that shuts for a while.

The servers are shared with other tests, so they are not restarted themselves: what a restart does to the server's own
files is not tried, what it does to everybody who is connected is.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_CHUNK = 1 << 16


class Outage:
    """A proxy in a thread of its own, because its clients start while the test waits for them."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._runner = asyncio.Runner()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._ended = asyncio.Event()
        self.port = 0

    @contextmanager
    def running(self) -> Iterator["Outage"]:
        with self._runner:
            self._runner.run(self._listen())
            thread = threading.Thread(target=self._runner.run, args=(self._ended.wait(),))
            thread.start()
            try:
                yield self
            finally:
                self._do(self._end())
                thread.join()

    async def _end(self) -> None:
        await self._shut()
        self._ended.set()

    async def last(self, seconds: float) -> None:
        """Cut everybody off and answer nobody for so long."""
        await asyncio.to_thread(self._do, self._shut())
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._do, self._listen())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._runner.get_loop()).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        self._open |= pair
        try:
            await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
        finally:
            self._open -= pair
            for end in pair:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
