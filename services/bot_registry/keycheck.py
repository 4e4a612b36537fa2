"""Asks the exchange what a customer's key may do: one small signed GET. The only module that talks to it."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout

from services.bot_registry.key_rights import Accepted, Refused, judge
from shared import clock
from shared.clock import Clock
from shared.contracts import Environment
from shared.sealing import Credentials

log = structlog.get_logger()

_ANSWER_WITHIN_S = 5.0
_RECV_WINDOW_MS = 5_000  # Binance, "Timing security": 5000 or less is recommended
_CLOCKS_DIFFER = -1021


class ExchangeUnavailable(Exception):
    """The exchange did not answer, or said nothing about the key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to ask about the keys of one environment: a base URL and the paths of key rights and time."""

    base_url: str
    rights_path: str
    time_path: str


def live(base_url: str) -> Place:
    """Binance itself."""
    return Place(base_url, "/sapi/v1/account/apiRestrictions", "/api/v3/time")


def testnet(base_url: str) -> Place:
    """Binance's demo trading, which has no /sapi."""
    return Place(base_url, "/fapi/v1/accountConfig", "/fapi/v1/time")


def paper(base_url: str) -> Place:
    """The paper exchange."""
    return Place(base_url, "/sapi/v1/account/apiRestrictions", "/fapi/v1/time")


class KeyCheck:
    """Checks keys at the exchange of each environment on offer."""

    def __init__(self, places: dict[Environment, Place], clock: Clock) -> None:
        self._places = places
        self._clock = clock
        self._session: ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep connections for the length of the block."""
        async with ClientSession(timeout=ClientTimeout(total=_ANSWER_WITHIN_S)) as self._session:
            yield

    def offers(self, environment: Environment) -> bool:
        """Whether accounts of this environment can be connected here."""
        return environment in self._places

    async def check(self, environment: Environment, credentials: Credentials) -> Accepted | Refused:
        """Whether the key may be used. Raises ExchangeUnavailable."""
        place = self._places[environment]
        try:
            status, answer = await self._ask(place, credentials, clock.to_ms(self._clock.now()))
            if answer.get("code") == _CLOCKS_DIFFER:
                _, time = await self._get(place.base_url + place.time_path)
                status, answer = await self._ask(place, credentials, int(time.get("serverTime", 0)))
        except (ClientError, TimeoutError, ValueError) as error:
            raise ExchangeUnavailable(type(error).__name__) from error
        verdict = judge(environment, status, answer)
        if verdict is None:
            log.warning("key_check_unanswered", environment=environment, status=status, code=answer.get("code"))
            raise ExchangeUnavailable(f"HTTP {status}")
        return verdict

    async def _ask(self, place: Place, credentials: Credentials, timestamp_ms: int) -> tuple[int, dict[str, Any]]:
        query = f"recvWindow={_RECV_WINDOW_MS}&timestamp={timestamp_ms}"
        secret = credentials.api_secret.get_secret_value().encode()
        signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
        url = f"{place.base_url}{place.rights_path}?{query}&signature={signature}"
        return await self._get(url, {"X-MBX-APIKEY": credentials.api_key.get_secret_value()})

    async def _get(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        assert self._session is not None, "check runs inside running()"
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            answer = await response.json(content_type=None)
            return response.status, answer if isinstance(answer, dict) else {}
