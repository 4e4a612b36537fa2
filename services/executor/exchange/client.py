"""One ccxt client per market and environment, which signs for every customer. The only importer of ccxt.

A ccxt instance per customer costs 20 ms and megabytes; ccxt signs synchronously, so one client takes the customer's
key from a context variable while it does. Implicit endpoints only: exact parameters, decimal strings, no precision of
ccxt's own. Rate limits, retries and the meaning of errors are ours (`outcomes`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import structlog
from ccxt.async_support.binance import binance

from services.executor.outcomes import Answer, NoAnswer
from shared.clock import Clock, to_ms
from shared.sealing import Credentials
from shared.service import background

log = structlog.get_logger()

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


class _Ccxt(binance):  # type: ignore[misc]  # ccxt ships no types
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


class Client:
    """Calls to one host of Binance for any customer, on its clock.

    `call` raises Failed, and nothing else, when the call does not succeed.
    """

    def __init__(
        self, base_url: str, prefixes: Mapping[str, str], time_endpoint: str, clock: Clock, *, timeout_ms: int
    ) -> None:
        """`prefixes`: ccxt's name of each group of endpoints and its path; `time_endpoint`: the one for the clock.

        `timeout_ms`: how long one call may take before its outcome counts as unknown.
        """
        self._base_url = base_url
        self._prefixes = prefixes
        self._time_endpoint = time_endpoint
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._offset_ms = 0
        self._ccxt: Any = None
        self._used = asyncio.Event()
        self._quiet_until_ms = 0

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
            try:
                async with background("executor.clock", self._keep_clock):
                    yield
            finally:
                self._ccxt.session = None  # ours; ccxt would wait a quarter of a second to close its own

    @property
    def wants_quiet(self) -> bool:
        """Whether the exchange asked to be left alone (429, 418): what is not an order should wait."""
        return self.now_ms() < self._quiet_until_ms

    def now_ms(self) -> int:
        """The exchange's time, as far as we know it."""
        return to_ms(self._clock.now()) + self._offset_ms

    async def set_clock(self) -> None:
        """Learn how far the exchange's clock is from ours. Raises Failed."""
        asked_ms = to_ms(self._clock.now())
        answer = await self.call(self._time_endpoint, {})
        answered_ms = to_ms(self._clock.now())
        self._offset_ms = int(answer["serverTime"]) - (asked_ms + answered_ms) // 2

    async def _keep_clock(self) -> None:
        await self._used.wait()  # an environment that nobody trades on is left alone
        while True:
            await self._set_clock_again()
            await asyncio.sleep(_CLOCK_EVERY_S)

    async def call(self, endpoint: str, fields: dict[str, str], credentials: Credentials | None = None) -> Any:
        """The answer of one of ccxt's implicit endpoints; signed where there are credentials. Raises Failed."""
        if credentials is not None:
            _signing_for.set(credentials)  # each execution is a task with a context of its own
            fields = {"timestamp": str(self.now_ms())} | fields
        self._used.set()
        try:
            answer = await getattr(self._ccxt, endpoint)(fields)
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
        if not isinstance(answer, dict | list):  # ccxt hands on what is no JSON: an answer cut off, or none
            raise Failed(NoAnswer(sent=True, message=f"no JSON at {endpoint}"))
        return answer

    async def _set_clock_again(self) -> None:
        try:
            await self.set_clock()
        except Failed as error:
            log.warning("exchange_clock_not_read", reason=str(error))
