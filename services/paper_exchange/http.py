"""The gate every REST request passes: faults, key, signature, time window, limits, then the endpoint's answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from services.paper_exchange.errors import Refused
from services.paper_exchange.faults import EXECUTES, NEVER_ANSWERS, Fault, FaultScript
from services.paper_exchange.futures.model import ZERO, Account, Market
from services.paper_exchange.futures.routes import ROUTES, Call, Endpoint, Security
from services.paper_exchange.keyring import Key, Keyring, permissions
from services.paper_exchange.limits import OrderCount, WeightCount
from services.paper_exchange.signing import check_signature, check_window, read_params, text
from services.paper_exchange.stream import Hub

SILENCE_MS_MAX = 60_000  # how long a faulty connection is kept open without an answer
NOBODY, NO_KEY = Account("", ZERO, 0), Key("", "", 0)
JSON = "application/json"
Answer = tuple[int, Any, dict[str, str]]


class Gate:
    """Serves /fapi and /sapi. Everything between reading a request and writing its answer happens in one step."""

    def __init__(
        self, market: Market, keyring: Keyring, hub: Hub, clock: Callable[[], int], *, enforce_weight: bool = False
    ) -> None:
        self.market, self.keyring, self.hub, self.clock = market, keyring, hub, clock
        self.faults = FaultScript()
        self.weights = WeightCount(enforced=enforce_weight)
        self.order_counts: dict[str, OrderCount] = {}
        self.changed: set[str] = set()
        self.stopping = asyncio.Event()
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "paper_exchange_requests", "REST requests", ["method", "path", "status"], registry=self.registry
        )
        self.endpoints = {
            **ROUTES,
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(lambda call: permissions(call.key)),
            ("POST", "/fapi/v1/listenKey"): _keyed(hub.create),
            ("PUT", "/fapi/v1/listenKey"): _keyed(hub.extend),
            ("DELETE", "/fapi/v1/listenKey"): _keyed(hub.close),
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one REST request, or let the fault script spoil it."""
        body = (await request.read()).decode(errors="replace") if request.can_read_body else ""
        fault = self.faults.take(request.method, request.path, request.headers.get("X-MBX-APIKEY", ""))
        if fault is None or fault.kind in EXECUTES:
            status, document, headers = self._answer(request, body)
        else:
            status, document, headers = 503, {}, {}
        if fault is not None:
            spoiled = await self._spoil(request, fault)
            if spoiled is not None:
                status, document = spoiled
                headers = {}
        return web.Response(status=status, body=orjson.dumps(document), headers=headers, content_type=JSON)

    def _answer(self, request: web.Request, body: str) -> Answer:
        """The exchange's own answer: HTTP status, document, headers."""
        now_ms, route = self.clock(), (request.method, request.path)
        endpoint = self.endpoints.get(route) or _no_endpoint(request)
        query = request.raw_path.partition("?")[2]
        params = read_params(query, body)
        used = self.weights.add(request.remote or "", _weight(endpoint, params), now_ms)
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        try:
            self.weights.check(used)
            key, account = self._admit(endpoint, request.headers.get("X-MBX-APIKEY"), query, body, params, now_ms)
            if endpoint.orders:
                count = self.order_counts.get(key.api_key) or self.order_counts.setdefault(key.api_key, OrderCount())
                count.add(*endpoint.orders, now_ms)
                headers |= count.headers
            status, document = 200, endpoint.answer(Call(self.market, account, key, params, now_ms))
            if request.method != "GET":
                self.changed.add(account.api_key)
                self.hub.publish(account)
        except Refused as refusal:
            status, document = refusal.status, refusal.body
        self.requests.labels(request.method, request.path if route in self.endpoints else "unknown", status).inc()
        return status, document, headers

    def _admit(
        self, endpoint: Endpoint, api_key: str | None, query: str, body: str, params: dict[str, str], now_ms: int
    ) -> tuple[Key, Account]:
        """Who calls. Refused in Binance's order: -2014, -2015, -1102, -1021, -1022."""
        if endpoint.security is Security.PUBLIC:
            return NO_KEY, NOBODY
        key = self.keyring.find(api_key)
        if endpoint.security is Security.SIGNED:
            text(params, "timestamp")
            signature = text(params, "signature")
            check_window(params, now_ms)
            check_signature(key.api_secret, query, body, signature)
        return key, self.market.accounts[key.api_key]

    async def _spoil(self, request: web.Request, fault: Fault) -> tuple[int, dict[str, object]] | None:
        """Do to an answer what the fault says; None where the true answer may go out (late)."""
        if fault.latency_ms:
            await self._pause(request, fault.latency_ms)
        if fault.kind == "latency":
            return None
        if fault.kind not in NEVER_ANSWERS:
            return fault.answer()
        await self._pause(request, SILENCE_MS_MAX)
        if request.transport is not None:
            request.transport.abort()
        return 408, {}

    async def _pause(self, request: web.Request, pause_ms: int) -> None:
        """Wait, but no longer than the client stays or the process runs."""
        for slept_ms in range(0, pause_ms, 50):
            if request.transport is None or request.transport.is_closing() or self.stopping.is_set():
                return
            await asyncio.sleep(min(50, pause_ms - slept_ms) / 1000)


def _keyed(action: Callable[[Account], Any]) -> Endpoint:
    """A listen-key endpoint: the key header is enough."""
    return Endpoint(lambda call: action(call.account), security=Security.KEY)


def _no_endpoint(request: web.Request) -> Endpoint:
    """What stands where Binance has nothing: -5000."""

    def refuse(_: Call) -> None:
        raise Refused(-5000, request.path, request.method)

    return Endpoint(refuse, security=Security.PUBLIC)


def _weight(endpoint: Endpoint, params: dict[str, str]) -> int:
    return endpoint.weight if endpoint.weight_all is None or params.get("symbol") else endpoint.weight_all
