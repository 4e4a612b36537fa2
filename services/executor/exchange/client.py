"""One ccxt client per market and environment, which signs for every customer. The only importer of ccxt.

A ccxt instance per customer costs 20 ms and megabytes; ccxt signs synchronously, so one client takes the customer's
key from a context variable while it does. Implicit endpoints only: exact parameters, decimal strings, no precision of
ccxt's own. Every call says what it costs and passes the governor; the meaning of errors is `outcomes`'.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import orjson
import structlog
from ccxt.async_support.binance import binance

from services.executor.exchange.budget import Limits, Urgency
from services.executor.exchange.egress import Egress
from services.executor.exchange.governor import Governor, Held, urgent
from services.executor.outcomes import Answer, NoAnswer
from shared.clock import Clock, to_ms
from shared.sealing import Credentials
from shared.service import background

log = structlog.get_logger()

DOLLARS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "USDP", "USD1", "DAI", "USD"})

_CLOCK_EVERY_S = 600.0
_CLOCK_SAMPLES = 3
_ROUND_TRIP_GOOD_MS = 500  # the time read may be wrong by half of it; the exchange bears one second ahead
_CLOCK_OFF = (-1021, -5028)
_TOO_MANY_ORDERS = -1015
_TOO_MANY_REQUESTS = -1003
_CONNECTIONS_MAX = 2_000


@dataclass(slots=True)
class _Call:
    """A call under way: for whom, and when it left by the exchange's clock."""

    credentials: Credentials | None
    sent_ms: int = 0
    offset_version: int = 0

    @property
    def account(self) -> int | None:
        """What tells accounts apart without holding their keys."""
        return None if self.credentials is None else hash(self.credentials.api_key.get_secret_value())


_call: ContextVar[_Call] = ContextVar("call")


class Failed(Exception):
    """The call did not succeed; `reply` says what is known."""

    def __init__(self, reply: Answer | NoAnswer) -> None:
        super().__init__(reply.message)
        self.reply = reply

    @property
    def is_held(self) -> bool:
        """Whether it was not sent, to stay within the exchange's limits."""
        return isinstance(self.reply, NoAnswer) and self.reply.wait_ms > 0


class UnknownSymbol(Exception):
    """The exchange does not list the symbol, or does not trade it now."""


class NotInDollars(Exception):
    """The symbol's quote asset is no dollar, while margins are: `symbol`, `quote`."""

    def __init__(self, symbol: str, quote: str) -> None:
        super().__init__(f"{symbol} is quoted in {quote}")
        self.symbol = symbol
        self.quote = quote


class _Ccxt(binance):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's client: the key from the context, errors as they came, headers to the governor."""

    governor: Governor

    def sign(self, path: str, api: Any = "public", method: str = "GET", params: Any = None, *rest: Any) -> Any:
        if (credentials := _call.get().credentials) is not None:
            self.apiKey = credentials.api_key.get_secret_value()
            self.secret = credentials.api_secret.get_secret_value()
        try:
            return super().sign(path, api, method, params or {}, *rest)
        finally:
            self.apiKey = self.secret = ""

    def handle_errors(self, status: int, _reason: str, *rest: Any) -> None:
        headers, body = {name.lower(): value for name, value in rest[2].items()}, rest[3]
        call = _call.get()
        self.governor.heard(headers, call.account, call.sent_ms)
        if status >= 400 or (body and body.lstrip()[:1] not in ("{", "[")):
            raise Failed(_answer(status, headers, body))


def _answer(status: int, headers: Mapping[str, str], body: str) -> Answer:
    code, message = None, body[:200]
    try:
        fields = orjson.loads(body)
        code, message = int(fields["code"]) or None, str(fields.get("msg", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    told = headers.get("retry-after", "")
    return Answer(status, code, message, int(told) if told.isdigit() else 0)


class Client:
    """Calls to one host of Binance for any customer, on its clock and within its limits.

    `call` raises Failed, and nothing else, when the call does not succeed.
    """

    def __init__(
        self,
        base_url: str,
        prefixes: Mapping[str, str],
        time_endpoint: str,
        clock: Clock,
        *,
        timeout_ms: int,
        egress: Egress,
        limits: Limits,
    ) -> None:
        """`prefixes`: ccxt's name of each group of endpoints and its path; `time_endpoint`: the one for the clock.

        `timeout_ms`: how long one call may take before its outcome counts as unknown. `limits` hold until the
        exchange tells its own.
        """
        self._base_url = base_url
        self._prefixes = prefixes
        self._time_endpoint = time_endpoint
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._offset_ms = 0
        self._offset_is_known = False
        self._offset_version = 0
        self._reading_clock = asyncio.Lock()
        self._ccxt: Any = None
        self.in_use = asyncio.Event()
        pool = base_url.partition("://")[2] + next(iter(prefixes.values()))
        self.governor = Governor(egress, pool, limits, self.now_ms)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open connections for the length of the block."""
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS_MAX)
        async with aiohttp.ClientSession(connector=connector) as session:
            self._ccxt = _Ccxt(
                {
                    "session": session,
                    "enableRateLimit": False,
                    "timeout": self._timeout_ms,
                    "urls": {"api": {name: self._base_url + path for name, path in self._prefixes.items()}},
                    "options": {"fetchCurrencies": False, "fetchMargins": False},
                    "apiKey": "none",
                    "secret": "none",
                }
            )
            self._ccxt.requiredCredentials = {}
            self._ccxt.governor = self.governor
            try:
                async with self.governor.running(), background("executor.clock", self._keep_clock):
                    yield
            finally:
                self._ccxt.session = None  # ours; ccxt would wait a quarter of a second to close its own

    def now_ms(self) -> int:
        """The exchange's time, as far as we know it."""
        return to_ms(self._clock.now()) + self._offset_ms

    async def know_clock(self) -> None:
        """Read the exchange's clock where it is not known: at first, and after a request was outside its window.

        One reading serves all who wait. Raises Failed.
        """
        if self._offset_is_known:
            return
        async with self._reading_clock:
            if not self._offset_is_known:
                await self._read_clock()

    async def _read_clock(self) -> None:
        best_ms: int | None = None
        for _ in range(_CLOCK_SAMPLES):
            asked_ms = to_ms(self._clock.now())
            with urgent(Urgency.VITAL):
                answer = await self.call(self._time_endpoint, {}, weight=1)
            answered_ms = to_ms(self._clock.now())
            if best_ms is None or answered_ms - asked_ms < best_ms:
                best_ms = answered_ms - asked_ms
                self._offset_ms = int(answer["serverTime"]) - (asked_ms + answered_ms) // 2
            if best_ms <= _ROUND_TRIP_GOOD_MS:
                break
        self._offset_is_known = True
        self._offset_version += 1

    async def _keep_clock(self) -> None:
        await self.in_use.wait()
        while True:
            await asyncio.sleep(_CLOCK_EVERY_S)
            try:
                await self._read_clock()
            except Failed as error:
                log.warning("exchange_clock_not_read", reason=str(error))

    async def call(
        self, endpoint: str, fields: dict[str, str], credentials: Credentials | None = None, *, weight: int
    ) -> Any:
        """The answer of one of ccxt's implicit endpoints; signed where there are credentials. Raises Failed.

        `weight`: what Binance counts for the request against our address; 0: a new order, which never waits for it.
        """
        self.in_use.set()
        if credentials is not None and not self._offset_is_known:
            await self._know_clock_before_signing(stamped="timestamp" in fields)
        call = _Call(credentials)
        _call.set(call)  # each execution is a task with a context of its own
        try:
            if weight == 0:
                self.governor.order(call.account or 0)
                answer = await self._send(call, endpoint, fields)
                self.governor.taken()
                return answer
            await self.governor.read(weight)
            return await self._send(call, endpoint, fields)
        except Held as held:
            raise Failed(NoAnswer(False, str(held), held.wait_ms, banned=held.banned)) from None
        except Failed as error:
            raise Failed(await self._heed(error.reply, call, order=weight == 0)) from error

    async def _send(self, call: _Call, endpoint: str, fields: dict[str, str]) -> Any:
        call.sent_ms = self.now_ms()
        call.offset_version = self._offset_version
        if call.credentials is not None:
            fields = {"timestamp": str(call.sent_ms)} | fields
        try:
            answer = await getattr(self._ccxt, endpoint)(fields)
        except Failed:
            raise
        except Exception as error:
            # ccxt puts every network failure into classes of its own; only what aiohttp said tells them apart
            sent = not isinstance(error.__cause__, aiohttp.ClientConnectorError)
            raise Failed(NoAnswer(sent, f"{type(error.__cause__ or error).__name__} at {endpoint}")) from error
        if not isinstance(answer, dict | list):  # ccxt hands on what is no JSON: an answer cut off, or none
            raise Failed(NoAnswer(sent=True, message=f"no JSON at {endpoint}"))
        return answer

    async def _heed(self, reply: Answer | NoAnswer, call: _Call, *, order: bool) -> Answer | NoAnswer:
        """Do what the exchange asks for with its refusal; the reply with how long to wait."""
        if isinstance(reply, NoAnswer):
            return reply
        if reply.code in _CLOCK_OFF:
            if call.offset_version == self._offset_version:  # else it was read since: a burst makes one reading
                self._offset_is_known = False
            with suppress(Failed):  # then it is read before the next request is signed
                await self.know_clock()
        if reply.code == _TOO_MANY_ORDERS and call.account is not None:
            wait_ms = self.governor.too_many_orders(call.account, reply.message)
        elif reply.http_status in (418, 429) or reply.code == _TOO_MANY_REQUESTS:
            wait_ms = await self.governor.quiet(reply.http_status, _asked_ms(reply, self.now_ms()), order=order)
        else:
            if order:
                self.governor.taken()
            return reply
        return replace(reply, retry_after_s=-(-wait_ms // 1000))

    async def _know_clock_before_signing(self, *, stamped: bool) -> None:
        """As know_clock; a request that was stamped without is not sent. Raises Failed."""
        try:
            await self.know_clock()
        except Failed as error:
            wait_ms = error.reply.wait_ms if isinstance(error.reply, NoAnswer) else error.reply.retry_after_s * 1000
            message = f"the exchange's clock could not be read: {error}"
            raise Failed(NoAnswer(False, message, wait_ms)) from error
        if stamped:
            raise Failed(NoAnswer(False, "stamped before the exchange's clock was known"))


def _asked_ms(reply: Answer, now_ms: int) -> int:
    """How long the exchange wants quiet: `Retry-After`, or the end of a ban as its message tells it; 0 for neither."""
    banned_until = re.search(r"banned until (\d{13})", reply.message)
    return reply.retry_after_s * 1000 or (max(0, int(banned_until[1]) - now_ms) if banned_until else 0)
