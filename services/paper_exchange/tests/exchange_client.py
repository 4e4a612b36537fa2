"""A running exchange and a hand-signing client, independent of the exchange's own signing code."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from services.paper_exchange.app import GATE, build
from services.paper_exchange.http import Gate
from services.paper_exchange.settings import Settings

Params = dict[str, Any]


@dataclass
class Running:
    """An exchange on a port of its own, its insides, and a session to talk to it."""

    url: str
    gate: Gate
    session: aiohttp.ClientSession
    runner: web.AppRunner

    async def control(self, method: str, path: str, document: Params | None = None) -> Any:
        async with self.session.request(method, self.url + path, json=document) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def customer(self, **wishes: object) -> "Customer":
        keys = await self.control("POST", "/paper/accounts", wishes)
        return Customer(self, keys["api_key"], keys["api_secret"])

    async def move(self, symbol: str, price: str) -> None:
        await self.control("PUT", f"/paper/prices/{symbol}", {"price": price})

    async def stop(self) -> None:
        await self.session.close()
        await self.runner.cleanup()


async def start(settings: Settings | None = None, clock: Any = None) -> Running:
    settings = settings or Settings(data_dir=None, paper_enforce_weight=False)
    app = build(settings, clock) if clock else build(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    return Running(f"http://127.0.0.1:{port}", app[GATE], aiohttp.ClientSession(), runner)


@dataclass
class Customer:
    """An account, calling with its key. Answers are (HTTP status, JSON)."""

    exchange: Running
    api_key: str
    api_secret: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, *, body: bool = False, **params: Any) -> tuple[int, Any]:
        query = urlencode({"timestamp": int(time.time() * 1000)} | params)
        query += "&signature=" + hmac.new(self.api_secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return await self.send(method, path, "" if body else query, query if body else "")

    async def send(self, method: str, path: str, query: str = "", body: str = "") -> tuple[int, Any]:
        url = URL(self.exchange.url + path + (f"?{query}" if query else ""), encoded=True)
        headers = {"X-MBX-APIKEY": self.api_key, "Content-Type": "application/x-www-form-urlencoded"}
        async with self.exchange.session.request(method, url, data=body or None, headers=headers) as response:
            self.headers = response.headers
            return response.status, await response.json()

    async def ok(self, method: str, path: str, **params: Any) -> Any:
        status, answer = await self.call(method, path, **params)
        assert status == 200, answer
        return answer

    async def refused(self, method: str, path: str, **params: Any) -> int:
        status, answer = await self.call(method, path, **params)
        assert status >= 400, answer
        code: int = answer["code"]
        return code

    async def market(self, side: str, quantity: str, symbol: str = "BTCUSDT", **more: Any) -> Any:
        order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": quantity, "newOrderRespType": "RESULT"}
        return await self.ok("POST", "/fapi/v1/order", **order, **more)

    def algo(self, side: str, kind: str, trigger: str, client_id: str, **more: Any) -> Params:
        base = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": side, "type": kind, "triggerPrice": trigger}
        if "quantity" not in more:
            more["closePosition"] = "true"
        return base | {"clientAlgoId": client_id} | more

    async def place_algo(self, side: str, kind: str, trigger: str, client_id: str, **more: Any) -> Any:
        return await self.ok("POST", "/fapi/v1/algoOrder", **self.algo(side, kind, trigger, client_id, **more))

    async def book(self) -> Any:
        return await self.exchange.control("GET", f"/paper/accounts/{self.api_key}")
