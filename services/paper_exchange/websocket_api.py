"""The WebSocket API of Spot: the REST endpoints under other names, and the user-data stream.

Source: binance-spot-api-docs, web-socket-api.md. Log-on is for Ed25519 keys, which this exchange does not issue.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from services.paper_exchange.endpoint import Endpoint
from services.paper_exchange.errors import Refused
from services.paper_exchange.followers import Session
from services.paper_exchange.http import Asked, Gate
from services.paper_exchange.signing import Params, check_signature, check_window, text, whole
from services.paper_exchange.spot.model import Json
from services.paper_exchange.venue import USED_WEIGHT

SESSION_WEIGHT = 2
PING_EVERY_S = 20
HMAC_LOGON = "HMAC_SHA256 API key is not supported."
# Each method is an endpoint of REST, with the same parameters and the same answer.
METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "avgPrice": ("GET", "/api/v3/avgPrice"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "orderList.place": ("POST", "/api/v3/order/oco"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.status": ("GET", "/api/v3/orderList"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "openOrderLists.status": ("GET", "/api/v3/openOrderList"),
    "allOrderLists": ("GET", "/api/v3/allOrderList"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
    "account.commission": ("GET", "/api/v3/account/commission"),
    "account.rateLimits.orders": ("GET", "/api/v3/rateLimit/order"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of one frame. `signed` is what its signature is over: all it sent but that, sorted by name."""

    id: Any
    method: str
    params: Params
    signed: str
    address: str


class WebsocketApi:
    """Serves /ws-api/v3."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.methods = {
            "session.status": self._status,
            "session.subscriptions": self._subscriptions,
            "session.logon": self._log_on,
            "session.logout": self._status,
            "userDataStream.subscribe": self._log_on,
            "userDataStream.subscribe.signature": self._subscribe,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One WebSocket from handshake to close."""
        response = web.WebSocketResponse(heartbeat=PING_EVERY_S, compress=False)
        await response.prepare(request)
        session = Session(connected_ms=self.gate.clock())
        limits_shown = request.query.get("returnRateLimits", "true") != "false"
        self.gate.venues["api"].weights.add(request.remote or "", SESSION_WEIGHT, session.connected_ms)
        self.gate.followers.sessions.add(session)
        writer = asyncio.create_task(session.write_to(response))
        try:
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    session.push(self._answer(session, message.data, request.remote or "", shown=limits_shown))
        finally:
            writer.cancel()
            self.gate.followers.drop(session)
        return response

    def _answer(self, session: Session, frame: str, address: str, *, shown: bool) -> Json:
        """The answer to one frame, with the id of its request."""
        sent = _read(frame, address)
        if sent is None:
            return {"id": None, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}}
        shown = sent.params.get("returnRateLimits", str(shown)).lower() == "true"
        status, document, used = self._ask(sent) if sent.method in METHODS else self._obey(session, sent)
        answer: Json = {"id": sent.id, "status": status, "result" if status == 200 else "error": document}
        return answer | {"rateLimits": self._limits(sent, used)} if shown else answer

    def _ask(self, sent: Sent) -> tuple[int, Any, int]:
        """Ask the REST endpoint of a method: HTTP status, document, used weight."""
        params = {name: value for name, value in sent.params.items() if name not in ("apiKey", "returnRateLimits")}
        api_key, now_ms = sent.params.get("apiKey"), self.gate.clock()
        asked = Asked(*METHODS[sent.method], sent.address, api_key, sent.signed, "", params, now_ms)
        status, document, headers = self.gate.answer(asked)
        return status, document, int(headers[USED_WEIGHT])

    def _obey(self, session: Session, sent: Sent) -> tuple[int, Any, int]:
        """Carry out a method that REST does not have: HTTP status, document, used weight."""
        weights = self.gate.venues["api"].weights
        used = weights.add(sent.address, SESSION_WEIGHT, self.gate.clock())
        try:
            weights.check(sent.address, used, self.gate.clock())
            return 200, self.methods.get(sent.method, _unknown)(session, sent), used
        except Refused as refusal:
            return refusal.status, refusal.body, used

    def _status(self, session: Session, _: Sent) -> Json:
        return {
            "apiKey": None,
            "authorizedSince": None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": True,
            "serverTime": self.gate.clock(),
            "userDataStream": bool(session.accounts),
        }

    def _subscriptions(self, session: Session, _: Sent) -> list[Json]:
        return [{"subscriptionId": subscription} for subscription in session.accounts]

    def _log_on(self, _session: Session, _: Sent) -> Json:
        raise Refused(-2028, message=HMAC_LOGON)

    def _subscribe(self, session: Session, sent: Sent) -> Json:
        """Follow the account that signed the request: -2014, -2015, -1102, -1021, -1022."""
        key = self.gate.keyring.find(text(sent.params, "apiKey"))
        text(sent.params, "timestamp")
        signature = text(sent.params, "signature")
        check_window(sent.params, self.gate.clock(), self.gate.venues["api"].longest_window_ms)
        check_signature(key.api_secret, sent.signed, "", signature)
        account = self.gate.spot_market.accounts[key.api_key]
        return {"subscriptionId": self.gate.followers.subscribe(session, account)}

    def _unsubscribe(self, session: Session, sent: Sent) -> Json:
        """End the subscription named, or all of the session."""
        named = "subscriptionId" in sent.params
        for subscription in [whole(sent.params, "subscriptionId")] if named else list(session.accounts):
            self.gate.followers.unsubscribe(session, subscription, self.gate.clock())
        return {}

    def _limits(self, sent: Sent, used: int) -> list[Json]:
        """The limits a request counted against, and where they stand."""
        venue = self.gate.venues["api"]
        endpoint: Endpoint[Any] | None = venue.endpoints.get(METHODS.get(sent.method, ("", "")))
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
        rows = [weight | {"limit": venue.weights.limit, "count": used}]
        count = venue.order_counts.get(sent.params.get("apiKey", ""))
        return count.rows(self.gate.clock()) + rows if endpoint and endpoint.orders and count else rows


def _read(frame: str, address: str) -> Sent | None:
    """Read a frame, its numbers digit by digit as they were signed; None where it is no request."""
    try:
        request = json.loads(frame, parse_float=str)
        method, sent = str(request["method"]).removeprefix("v3/"), (request.get("params") or {}).items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    params = {name: json.dumps(value) if isinstance(value, bool | list) else str(value) for name, value in sent}
    signed = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    return Sent(request.get("id"), method, params, signed, address)


def _unknown(_session: Session, _: Sent) -> Json:
    raise Refused(-1020)
