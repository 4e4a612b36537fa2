"""The gate every REST request passes: faults, key, signature, time window, limits, then the endpoint's answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from services.paper_exchange.endpoint import Endpoint, Security
from services.paper_exchange.errors import Refused
from services.paper_exchange.faults import DROPS, NEVER_ANSWERS, Fault
from services.paper_exchange.followers import Followers
from services.paper_exchange.futures.model import Market
from services.paper_exchange.history import History
from services.paper_exchange.keyring import Key, Keyring
from services.paper_exchange.signing import Params, check_signature, check_window, read_params, text
from services.paper_exchange.spot.model import Market as SpotMarket
from services.paper_exchange.stream import Hub
from services.paper_exchange.venue import Venue
from services.paper_exchange.venues import NO_KEY, futures_venue, spot_venue, wallet_venue

NO_FAULT = Fault("latency")
SILENCE_MS_MAX = 60_000  # how long a faulty connection is kept open without an answer
JSON = "application/json"
Answer = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived, over REST or the WebSocket API; `query` and `body` are what was signed."""

    method: str
    path: str
    address: str
    api_key: str | None
    query: str
    body: str
    params: Params
    arrived_ms: int
    skew_ms: int = 0


class Gate:
    """Serves /fapi, /api and /sapi. Between reading a request and writing its answer everything happens in one step."""

    def __init__(
        self,
        market: Market,
        spot_market: SpotMarket,
        keyring: Keyring,
        hub: Hub,
        followers: Followers,
        clock: Callable[[], int],
        *,
        enforce_weight: bool = False,
    ) -> None:
        self.market, self.spot_market = market, spot_market
        self.keyring, self.hub, self.followers, self.clock = keyring, hub, followers, clock
        self.faults = hub.faults
        self.history = History()
        self.changed: set[str] = set()
        self.stopping = asyncio.Event()
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "paper_exchange_requests", "REST requests", ["method", "path", "status"], registry=self.registry
        )
        self.venues = {
            "fapi": futures_venue(market, hub, enforced=enforce_weight),
            "api": spot_venue(spot_market, followers, enforced=enforce_weight),
            "sapi": wallet_venue(enforced=enforce_weight),
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one REST request, or let the fault script spoil it."""
        body = (await request.read()).decode(errors="replace") if request.can_read_body else ""
        asked = self._read(request, body)
        fault = self.faults.take(asked.method, asked.path, asked.api_key or "", asked.params)
        if fault is None:
            return _write(self.answer(asked))
        if fault.kind == "late":
            await asyncio.sleep(fault.latency_ms / 1000)
        answer = self.answer(asked) if fault.executes else (503, {}, {})
        return _write(await self._spoil(request, fault, answer))

    def _read(self, request: web.Request, body: str) -> Asked:
        query, api_key = request.raw_path.partition("?")[2], request.headers.get("X-MBX-APIKEY")
        skew = self.faults.condition("clock_skew", request.method, request.path, api_key or "") or NO_FAULT
        return Asked(
            method=request.method,
            path=request.path,
            address=request.remote or "",
            api_key=api_key,
            query=query,
            body=body,
            params=read_params(query, body),
            arrived_ms=self.clock() + skew.skew_ms,
            skew_ms=skew.skew_ms,
        )

    def answer(self, asked: Asked) -> Answer:
        """The exchange's own answer: HTTP status, document, headers."""
        now_ms, route = self.clock() + asked.skew_ms, (asked.method, asked.path)
        venue = self.venues[asked.path.split("/")[1]]
        endpoint = venue.endpoints.get(route) or _no_endpoint(asked)
        weight = _weight(endpoint, asked.params)
        used = venue.weights.add(asked.address, weight, now_ms)
        headers: dict[str, str] = {}
        try:
            venue.weights.check(asked.address, used, now_ms)
            key = self._admit(venue, endpoint, asked, now_ms)
            endpoint.check_names(asked.params)
            if endpoint.orders:
                venue.order_count(key).add(endpoint.orders, now_ms)
                headers |= venue.order_count(key).headers
            call = venue.call(key, asked.params, now_ms)
            status, document = 200, venue.answer(endpoint, key, self._conditioned(call, asked, key), now_ms)
            if endpoint.free:
                used = venue.weights.add(asked.address, -weight, now_ms)
            if asked.method != "GET":
                self.touch(key.api_key)
                venue.publish(key)
        except Refused as refusal:
            status, document = refusal.status, refusal.body
            headers |= refusal.headers
        headers |= dict.fromkeys(venue.weight_headers, str(used))
        self.requests.labels(asked.method, asked.path if route in venue.endpoints else "unknown", status).inc()
        return status, document, headers

    def _admit(self, venue: Venue, endpoint: Endpoint[Any], asked: Asked, now_ms: int) -> Key:
        """Who calls. Refused in Binance's order: -2014, -2015, -1102, -1021, -1022, and then by the matching engine.

        The matching engine looks at the clock again: what was held up on the way for longer than its window is refused.
        """
        if endpoint.security is Security.PUBLIC:
            return NO_KEY
        key = self.keyring.find(asked.api_key)
        if endpoint.security is Security.SIGNED:
            text(asked.params, "timestamp")
            signature = text(asked.params, "signature")
            check_window(asked.params, asked.arrived_ms, venue.longest_window_ms)
            check_signature(key.api_secret, asked.query, asked.body, signature)
            if endpoint.matched:
                now_ms += self._condition("engine_skew", asked).skew_ms
                check_window(asked.params, now_ms, venue.longest_window_ms, code=venue.late_code)
        return key

    def touch(self, api_key: str) -> None:
        """An account was changed: it is to be saved, and remembered where reads lag."""
        self.changed.add(api_key)
        if self.history.is_kept and api_key in self.market.accounts:
            self.history.keep(f"fapi {api_key}", self.market.accounts[api_key], self.clock())
            self.history.keep(f"api {api_key}", self.spot_market.accounts[api_key], self.clock())

    def lag(self) -> None:
        """From now on remember how accounts stood."""
        self.history.is_kept = True
        for api_key in self.market.accounts:
            self.touch(api_key)

    def _condition(self, kind: str, asked: Asked) -> Fault:
        """The condition of this kind that holds for a request, else one that changes nothing."""
        return self.faults.condition(kind, asked.method, asked.path, asked.api_key or "") or NO_FAULT

    def _conditioned(self, call: Any, asked: Asked, key: Key) -> Any:
        """The call as conditions change it: the account it reads, the age it asks of a position."""
        if asked.method == "GET" and self.history.is_kept and key is not NO_KEY:
            lag_ms = self._condition("read_lag", asked).latency_ms
            past = self.history.as_of(f"{asked.path.split('/')[1]} {key.api_key}", self.clock() - lag_ms)
            return replace(call, account=past) if lag_ms and past is not None else call
        if (asked.method, asked.path) == ("POST", "/fapi/v1/algoOrder"):
            is_strict = self._condition("strict_ids", asked) is not NO_FAULT
            return replace(call, gte_lag_ms=self._condition("gte_lag", asked).latency_ms, strict_ids=is_strict)
        return call

    async def _spoil(self, request: web.Request, fault: Fault, answer: Answer) -> Answer:
        """Do to an answer what the fault says; the true one goes out only where the fault is mere slowness."""
        if fault.latency_ms and fault.kind != "late":
            await self._pause(request, fault.latency_ms)
        if fault.kind == "latency":
            return answer
        if fault.kind not in NEVER_ANSWERS:
            return fault.answer(request.remote or "", self.clock())
        if fault.kind not in DROPS:
            await self._pause(request, SILENCE_MS_MAX)
        if request.transport is not None:
            request.transport.abort()
        return 408, {}, {}

    async def _pause(self, request: web.Request, pause_ms: int) -> None:
        """Wait, but no longer than the client stays or the process runs."""
        for slept_ms in range(0, pause_ms, 50):
            if request.transport is None or request.transport.is_closing() or self.stopping.is_set():
                return
            await asyncio.sleep(min(50, pause_ms - slept_ms) / 1000)


def _write(answer: Answer) -> web.Response:
    """JSON, or HTML where the document is text."""
    status, document, headers = answer
    if isinstance(document, str):
        return web.Response(status=status, text=document, headers=headers, content_type="text/html")
    return web.Response(status=status, body=orjson.dumps(document), headers=headers, content_type=JSON)


def _no_endpoint(asked: Asked) -> Endpoint[Any]:
    """What stands where Binance has nothing: -5000."""

    def refuse(_: Any) -> None:
        raise Refused(-5000, asked.path, asked.method)

    return Endpoint(refuse, security=Security.PUBLIC)


def _weight(endpoint: Endpoint[Any], params: Params) -> int:
    if endpoint.weight_all is None or params.get(endpoint.narrowed_by):
        return endpoint.weight
    return endpoint.weight_all
