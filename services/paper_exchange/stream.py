"""The user-data stream: listen keys and the WebSockets that follow them.

Source: developers.binance.com, USDⓈ-M Futures, "User Data Streams" and "Important WebSocket Change Notice".
"""

import asyncio
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import orjson
from aiohttp import WSMsgType, web

from services.paper_exchange.errors import Refused
from services.paper_exchange.faults import FaultScript
from services.paper_exchange.futures.model import Account, Json
from services.paper_exchange.line import Line, deliver

KEY_LIFE_MS = 3_600_000


@dataclass(eq=False)
class Socket(Line):
    """A WebSocket; `events` is the allow-list of each listen key it follows (None: everything)."""

    combined: bool = False
    events: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def offer(self, listen_key: str, event: Json) -> None:
        """Queue an event if its kind is allowed."""
        allowed = self.events.get(listen_key)
        if allowed is None or event["e"] in allowed:
            self.push({"stream": listen_key, "data": event} if self.combined else event)


@dataclass(slots=True)
class ListenKey:
    """A listen key of an account, and who follows it."""

    name: str
    account: Account
    expires_ms: int
    sockets: set[Socket] = field(default_factory=set)


class Hub:
    """All listen keys; one per account."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.faults = FaultScript()
        self.keys: dict[str, ListenKey] = {}
        self.of_account: dict[str, ListenKey] = {}
        self.sockets: set[Socket] = set()

    def create(self, account: Account) -> Json:
        """The account's listen key, made or extended by 60 minutes."""
        key = self.of_account.get(account.api_key)
        if key is None:
            key = ListenKey(secrets.token_hex(32), account, 0)
            self.keys[key.name] = self.of_account[account.api_key] = key
        key.expires_ms = self.clock() + KEY_LIFE_MS
        return {"listenKey": key.name}

    def extend(self, account: Account) -> Json:
        """Extend the account's key; Refused(-1125) where it has none."""
        if account.api_key not in self.of_account:
            raise Refused(-1125)
        return self.create(account)

    def close(self, account: Account) -> Json:
        """End the account's key and tell its followers."""
        self.publish(account)
        key = self.of_account.pop(account.api_key, None)
        if key is not None:
            event = {"e": "listenKeyExpired", "E": self.clock(), "listenKey": key.name}
            for socket in key.sockets:
                socket.offer(key.name, event)
            del self.keys[key.name]
            account.outbox = None
        return {}

    def expire(self) -> None:
        """End every key whose time is over."""
        for key in [key for key in self.keys.values() if key.expires_ms <= self.clock()]:
            self.close(key.account)

    def publish(self, account: Account) -> None:
        """Deliver what the account's outbox holds to those who follow it."""
        if not account.outbox:
            return
        events, account.outbox = account.outbox, []
        key = self.of_account[account.api_key]
        for event in events:
            deliver(self.faults.event(account.api_key), functools.partial(_offer, key, event))

    def follow(self, socket: Socket, listen_key: str, events: frozenset[str] | None) -> None:
        """Let a socket follow a key. A bogus key is accepted silently and delivers nothing, as on the real exchange."""
        socket.events[listen_key] = events
        key = self.keys.get(listen_key)
        if key is not None:
            key.sockets.add(socket)
            if key.account.outbox is None:
                key.account.outbox = []

    def leave(self, socket: Socket, listen_key: str) -> None:
        """Let a socket stop following a key."""
        socket.events.pop(listen_key, None)
        key = self.keys.get(listen_key)
        if key is not None:
            key.sockets.discard(socket)
            if not key.sockets:
                key.account.outbox = None

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One WebSocket from handshake to close."""
        is_bare = self.faults.condition("bare_stream", request.method, request.path, "") is not None
        combined = request.path.endswith("/stream") and not is_bare
        response = web.WebSocketResponse(heartbeat=180, compress=False)
        await response.prepare(request)
        socket = Socket(combined=combined)
        self.sockets.add(socket)
        for listen_key, events in _wanted(request):
            self.follow(socket, listen_key, events)
        writer = asyncio.create_task(socket.write_to(response))
        try:
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    self._obey(socket, message.data)
        finally:
            writer.cancel()
            self.sockets.discard(socket)
            for listen_key in list(socket.events):
                self.leave(socket, listen_key)
        return response

    def shut(self) -> None:
        """Close all sockets."""
        for socket in self.sockets:
            socket.hang_up()

    def _obey(self, socket: Socket, frame: str) -> None:
        """Carry out SUBSCRIBE and UNSUBSCRIBE frames; anything else is ignored."""
        try:
            command = orjson.loads(frame)
            method, names = command["method"], [str(name) for name in command["params"]]
        except (ValueError, KeyError, TypeError):
            return
        for name in names:
            if method == "SUBSCRIBE":
                self.follow(socket, name, None)
            elif method == "UNSUBSCRIBE":
                self.leave(socket, name)
        socket.push({"result": None, "id": command.get("id")})


def _offer(key: ListenKey, event: Json) -> None:
    for socket in key.sockets:
        socket.offer(key.name, event)


def _wanted(request: web.Request) -> list[tuple[str, frozenset[str] | None]]:
    """The listen keys a handshake names, each with the `events` that follow it in the query."""
    wanted: list[tuple[str, frozenset[str] | None]] = []
    if named := request.match_info.get("listen_key"):
        wanted.append((named, None))
    for name, value in parse_qsl(request.query_string):
        if name == "listenKey":
            wanted.append((value, None))
        elif name == "streams":
            wanted += [(stream, None) for stream in value.split("/")]
        elif name == "events" and wanted:
            wanted[-1] = (wanted[-1][0], frozenset(value.split("/")))
    return wanted
