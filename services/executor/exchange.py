"""Binance, through one ccxt client per environment that signs for every customer. The only importer of ccxt.

A ccxt instance per customer costs 20 ms and megabytes; ccxt signs synchronously, so one client takes the customer's
key from a context variable while it does. Implicit endpoints only: exact parameters, decimal strings, no precision of
ccxt's own. Rate limits, retries and the meaning of errors are ours (`outcomes`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import structlog
from ccxt.async_support.binanceusdm import binanceusdm

from services.executor.orders import (
    CancelProtection,
    Intent,
    MarketOrder,
    Order,
    PositionSide,
    Protection,
    SetLeverage,
    SymbolRules,
)
from services.executor.outcomes import Answer, NoAnswer
from shared.clock import Clock, to_ms
from shared.contracts import CloseReason, Environment
from shared.money import plain
from shared.sealing import Credentials
from shared.service import background

log = structlog.get_logger()

_PREFIXES = {
    "fapiPublic": "/fapi/v1",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
}
_PRICE_FRESH_MS = 500
_RULES_FRESH_MS = 3_600_000
_UNKNOWN_FRESH_MS = 30_000  # a new listing is found soon, a wrong ticker costs one read for all customers
_TRADES_WINDOW_MS = 7 * 86_400_000 - 60_000
_CLOCK_EVERY_S = 600.0
_CONNECTIONS_MAX = 2_000

_signing_for: ContextVar[Credentials] = ContextVar("signing_for")


class Failed(Exception):
    """The call did not succeed; `reply` says what is known."""

    def __init__(self, reply: Answer | NoAnswer) -> None:
        super().__init__(reply.message)
        self.reply = reply


class UnknownSymbol(Exception):
    """The exchange does not list the symbol, or does not trade it now."""


class _Client(binanceusdm):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's client: the key from the context, errors as they came."""

    def sign(self, path: str, api: Any = "public", method: str = "GET", params: Any = None, *rest: Any) -> Any:
        credentials = _signing_for.get(None)
        if credentials is not None:
            self.apiKey = credentials.api_key.get_secret_value()
            self.secret = credentials.api_secret.get_secret_value()
        try:
            return super().sign(path, api, method, params or {}, *rest)
        finally:
            self.apiKey = self.secret = ""

    def handle_errors(self, status: int, _reason: str, *rest: Any) -> None:
        headers, body = rest[2], rest[3]
        if status >= 400 or (body and body.lstrip()[:1] not in ("{", "[")):
            raise Failed(_answer(status, headers, body))


def _answer(status: int, headers: Mapping[str, str], body: str) -> Answer:
    code, message = None, body[:200]
    try:
        fields = orjson.loads(body)
        code, message = int(fields["code"]) or None, str(fields.get("msg", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    told = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    return Answer(status, code, message, int(told) if told.isdigit() else 0)


class Exchange:
    """One environment of Binance: the calls that trading needs, for any customer.

    Every method that takes credentials raises Failed, and nothing else, when the call does not succeed.
    """

    def __init__(self, environment: Environment, base_url: str, clock: Clock, *, timeout_ms: int) -> None:
        """`timeout_ms`: how long one call may take before its outcome counts as unknown."""
        self._environment = environment
        self._clock = clock
        self._base_url = base_url
        self._timeout_ms = timeout_ms
        self._offset_ms = 0
        self._rules: dict[str, SymbolRules] = {}
        self._rules_read_ms = 0
        self._prices: dict[str, tuple[int, asyncio.Future[Decimal]]] = {}
        self._rules_lock = asyncio.Lock()
        self._client: Any = None
        self._used = asyncio.Event()
        self._quiet_until_ms = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open connections for the length of the block."""
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS_MAX)
        async with aiohttp.ClientSession(connector=connector) as session:
            self._client = _Client(
                {
                    "session": session,
                    "enableRateLimit": False,
                    "timeout": self._timeout_ms,
                    "urls": {"api": {name: self._base_url + prefix for name, prefix in _PREFIXES.items()}},
                    "options": {"fetchCurrencies": False, "fetchMargins": False},
                    "apiKey": "none",
                    "secret": "none",
                }
            )
            self._client.requiredCredentials = {}
            try:
                async with background(f"executor.clock.{self._environment}", self._keep_clock):
                    yield
            finally:
                self._client.session = None  # ours; ccxt would wait a quarter of a second to close its own

    @property
    def wants_quiet(self) -> bool:
        """Whether the exchange asked to be left alone (429, 418): what is not an order should wait."""
        return self.now_ms() < self._quiet_until_ms

    def now_ms(self) -> int:
        """The exchange's time, as far as we know it."""
        return to_ms(self._clock.now()) + self._offset_ms

    async def set_clock(self) -> None:
        """Learn how far the exchange's clock is from ours: `GET /fapi/v1/time`. Raises Failed."""
        asked_ms = to_ms(self._clock.now())
        answer = await self._call("fapiPublicGetTime", {})
        answered_ms = to_ms(self._clock.now())
        self._offset_ms = int(answer["serverTime"]) - (asked_ms + answered_ms) // 2

    async def _keep_clock(self) -> None:
        await self._used.wait()  # an environment that nobody trades on is left alone
        while True:
            await self._set_clock_again()
            await asyncio.sleep(_CLOCK_EVERY_S)

    async def rules(self, symbol: str) -> SymbolRules:
        """The symbol's filters, read for all symbols once an hour. Raises Failed or UnknownSymbol."""
        async with self._rules_lock:
            fresh_for_ms = _RULES_FRESH_MS if symbol in self._rules else _UNKNOWN_FRESH_MS
            if self.now_ms() - self._rules_read_ms > fresh_for_ms:
                info = await self._call("fapiPublicGetExchangeInfo", {})
                self._rules = {row["symbol"]: _rules(row) for row in info["symbols"] if row["status"] == "TRADING"}
                self._rules_read_ms = self.now_ms()
        try:
            return self._rules[symbol]
        except KeyError:
            raise UnknownSymbol(symbol) from None

    async def price(self, symbol: str) -> Decimal:
        """The mark price, read once for a burst: `GET /fapi/v1/premiumIndex`. Raises Failed."""
        now_ms = self.now_ms()
        read_ms, price = self._prices.get(symbol, (0, None))
        if price is None or now_ms - read_ms > _PRICE_FRESH_MS or (price.done() and price.exception()):
            price = asyncio.ensure_future(self._read_price(symbol))
            self._prices[symbol] = (now_ms, price)
        return await asyncio.shield(price)

    async def _read_price(self, symbol: str) -> Decimal:
        return Decimal((await self._call("fapiPublicGetPremiumIndex", {"symbol": symbol}))["markPrice"])

    async def is_hedged(self, credentials: Credentials) -> bool:
        """Whether the account keeps long and short positions apart: `GET /fapi/v1/accountConfig`, weight 5."""
        return bool((await self._call("fapiPrivateGetAccountConfig", {}, credentials))["dualSidePosition"])

    async def leverage(self, credentials: Credentials, symbol: str) -> int:
        """The leverage set for a symbol: `GET /fapi/v1/symbolConfig`, weight 5."""
        [row] = await self._call("fapiPrivateGetSymbolConfig", {"symbol": symbol}, credentials)
        return int(row["leverage"])

    async def held(self, credentials: Credentials, symbol: str) -> tuple[tuple[str, PositionSide, Decimal], ...]:
        """What the account holds of a symbol, signed, per position side: `GET /fapi/v3/positionRisk`, weight 5."""
        rows = await self._call("fapiPrivateV3GetPositionRisk", {"symbol": symbol}, credentials)
        return tuple((row["symbol"], row["positionSide"], Decimal(row["positionAmt"])) for row in rows)

    async def set_leverage(self, credentials: Credentials, step: SetLeverage) -> None:
        """`POST /fapi/v1/leverage`, weight 1."""
        await self._call(
            "fapiPrivatePostLeverage", {"symbol": step.symbol, "leverage": str(step.leverage)}, credentials
        )

    async def place(self, credentials: Credentials, order: MarketOrder, intent: Intent) -> Order:
        """`POST /fapi/v1/order`, weight 0. The answer has no average price since 2026-06-30."""
        fields = {
            "symbol": order.symbol,
            "side": order.side,
            "type": "MARKET",
            "quantity": plain(order.quantity),
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "RESULT",
        } | _position_side(order.position_side, reduce_only=order.reduce_only)
        return _order(await self._call("fapiPrivatePostOrder", fields | _stamp(intent), credentials))

    async def find(self, credentials: Credentials, symbol: str, client_id: str) -> Order | None:
        """`GET /fapi/v1/order` by our name, weight 1; null where the exchange does not know it (-2013)."""
        fields = {"symbol": symbol, "origClientOrderId": client_id}
        try:
            return _order(await self._call("fapiPrivateGetOrder", fields, credentials))
        except Failed as error:
            if isinstance(error.reply, Answer) and error.reply.code == -2013:
                return None
            raise

    async def protect(self, credentials: Credentials, protection: Protection, intent: Intent) -> str:
        """`POST /fapi/v1/algoOrder`, weight 0; the algo order's id. Its trigger is the mark price."""
        kind = "STOP_MARKET" if protection.reason is CloseReason.STOP_LOSS else "TAKE_PROFIT_MARKET"
        fields = {
            "algoType": "CONDITIONAL",
            "symbol": protection.symbol,
            "side": protection.side,
            "type": kind,
            "triggerPrice": plain(protection.trigger),
            "workingType": "MARK_PRICE",
            "clientAlgoId": protection.client_id,
        }
        if protection.quantity is None:
            fields |= {"closePosition": "true"} | _position_side(protection.position_side, reduce_only=False)
        else:
            fields |= {"quantity": plain(protection.quantity)}
            fields |= _position_side(protection.position_side, reduce_only=True)
        return str((await self._call("fapiPrivatePostAlgoOrder", fields | _stamp(intent), credentials))["algoId"])

    async def open_protections(self, credentials: Credentials, symbol: str) -> dict[str, str]:
        """Client id → algo id of what waits for its trigger: `GET /fapi/v1/openAlgoOrders`, weight 1."""
        rows = await self._call("fapiPrivateGetOpenAlgoOrders", {"symbol": symbol}, credentials)
        return {row["clientAlgoId"]: str(row["algoId"]) for row in rows}

    async def triggered_protection(self, credentials: Credentials, symbol: str, client_id: str) -> str | None:
        """The algo id of a protection that has triggered or is doing so: `GET /fapi/v1/allAlgoOrders`, weight 5."""
        rows = await self._call("fapiPrivateGetAllAlgoOrders", {"symbol": symbol}, credentials)
        passed = ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED")
        return next(
            (str(row["algoId"]) for row in rows if row["clientAlgoId"] == client_id and row["algoStatus"] in passed),
            None,
        )

    async def cancel_protection(self, credentials: Credentials, step: CancelProtection) -> None:
        """`DELETE /fapi/v1/algoOrder`, weight 1."""
        await self._call("fapiPrivateDeleteAlgoOrder", {"clientAlgoId": step.client_id}, credentials)

    async def fired(self, credentials: Credentials, symbol: str) -> dict[str, str]:
        """Client id → order id of protections that became orders: `GET /fapi/v1/allAlgoOrders`, weight 5."""
        rows = await self._call("fapiPrivateGetAllAlgoOrders", {"symbol": symbol}, credentials)
        return {row["clientAlgoId"]: str(row["actualOrderId"]) for row in rows if row["actualOrderId"]}

    async def trades_since(self, credentials: Credentials, symbol: str, since_ms: int) -> list[dict[str, Any]]:
        """The account's fills of a symbol, oldest first: `GET /fapi/v1/userTrades`, weight 5, seven days at most."""
        start_ms = max(since_ms, self.now_ms() - _TRADES_WINDOW_MS)
        fields = {"symbol": symbol, "startTime": str(start_ms), "limit": "1000"}
        rows: list[dict[str, Any]] = await self._call("fapiPrivateGetUserTrades", fields, credentials)
        return rows

    async def trades(self, credentials: Credentials, symbol: str, order_id: str) -> list[dict[str, Any]]:
        """The fills of an order: `GET /fapi/v1/userTrades`, weight 5."""
        rows: list[dict[str, Any]] = await self._call(
            "fapiPrivateGetUserTrades", {"symbol": symbol, "orderId": order_id}, credentials
        )
        return rows

    async def _call(self, endpoint: str, fields: dict[str, str], credentials: Credentials | None = None) -> Any:
        if credentials is not None:
            _signing_for.set(credentials)  # each execution is a task with a context of its own
            fields = {"timestamp": str(self.now_ms())} | fields
        self._used.set()
        try:
            return await getattr(self._client, endpoint)(fields)
        except Failed as error:
            reply = error.reply
            if isinstance(reply, Answer) and reply.code in (-1021, -5028):
                await self._set_clock_again()
            if isinstance(reply, Answer) and reply.http_status in (418, 429):
                # Retry-After is undocumented for futures; the counters start again with the exchange's minute
                wait_s = reply.retry_after_s or 60 - self.now_ms() // 1000 % 60
                self._quiet_until_ms = self.now_ms() + wait_s * 1000
                raise Failed(replace(reply, retry_after_s=wait_s)) from error
            raise
        except Exception as error:
            # ccxt puts every network failure into classes of its own; only what aiohttp said tells them apart
            sent = not isinstance(error.__cause__, aiohttp.ClientConnectorError)
            raise Failed(NoAnswer(sent, f"{type(error.__cause__ or error).__name__} at {endpoint}")) from error

    async def _set_clock_again(self) -> None:
        try:
            await self.set_clock()
        except Failed as error:
            log.warning("exchange_clock_not_read", reason=str(error))


def _stamp(intent: Intent) -> dict[str, str]:
    """P2: the intent's time stamp is the request's."""
    return {"timestamp": str(intent.stamp_ms), "recvWindow": str(intent.recv_window_ms)}


def _position_side(position_side: PositionSide, *, reduce_only: bool) -> dict[str, str]:
    """In hedge mode the side says what is reduced, and `reduceOnly` must not be sent (-1106)."""
    if position_side != "BOTH":
        return {"positionSide": position_side}
    return {"reduceOnly": "true"} if reduce_only else {}


def _order(row: Mapping[str, Any]) -> Order:
    price = Decimal(row.get("avgPrice") or 0)
    return Order(
        order_id=str(row["orderId"]),
        status=row["status"],
        executed_quantity=Decimal(row["executedQty"]),
        average_price=price if price > 0 else None,
        time_ms=int(row["updateTime"]),
    )


def _rules(row: Mapping[str, Any]) -> SymbolRules:
    filters = {entry["filterType"]: entry for entry in row["filters"]}
    lot, market = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    return SymbolRules(
        symbol=row["symbol"],
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        # a step of 0 means that MARKET_LOT_SIZE sets none
        quantity_step=max(Decimal(lot["stepSize"]), Decimal(market["stepSize"])),
        quantity_min=max(Decimal(lot["minQty"]), Decimal(market["minQty"])),
        quantity_max=min(Decimal(lot["maxQty"]), Decimal(market["maxQty"])),
        notional_min=Decimal(filters["MIN_NOTIONAL"]["notional"]) if "MIN_NOTIONAL" in filters else Decimal(0),
    )
