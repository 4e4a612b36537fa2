"""A WebSocket's way out: what is pushed is sent in order, without anybody waiting for a slow reader."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from services.paper_exchange.faults import Fault

BACKLOG_MAX = 10_000  # documents a slow reader may lag behind before it is cut off


@dataclass(eq=False)
class Line:
    """What is still to be sent over one WebSocket; None ends it."""

    lagging: bool = False
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    def push(self, document: dict[str, Any]) -> None:
        """Queue a document; a reader too far behind is cut off."""
        if self.queue.qsize() < BACKLOG_MAX:
            self.queue.put_nowait(orjson.dumps(document))
        elif not self.lagging:
            self.lagging = True
            self.hang_up()

    def hang_up(self) -> None:
        """Close the WebSocket once everything queued is sent."""
        self.queue.put_nowait(None)

    async def write_to(self, response: web.WebSocketResponse) -> None:
        """Send what is queued, in order, until told to close."""
        while True:
            frame = await self.queue.get()
            if frame is None:
                await response.close()
                return
            await response.send_str(frame.decode())


def deliver(fault: Fault | None, send: Callable[[], None]) -> None:
    """Send an event as often and as late as the condition on it says."""
    kind = fault.kind if fault else ""
    if fault and kind == "events_late":
        asyncio.get_running_loop().call_later(fault.latency_ms / 1000, send)
    elif kind != "events_lost":
        send()
    if kind == "events_twice":
        send()
