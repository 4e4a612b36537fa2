"""Real clients, unchanged but for the base URL: ccxt, python-binance and Binance's own SDK."""

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import ccxt.async_support as ccxt
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_spot.spot import Spot
from pydantic import BaseModel

from services.paper_exchange.tests.exchange_client import Customer, Running

with warnings.catch_warnings():
    # python-binance imports names that websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient, BinanceSocketManager, Client
    from binance.exceptions import BinanceAPIException

__all__ = [
    "AsyncClient", "BinanceAPIException", "BinanceSocketManager", "a_ccxt", "a_python_binance", "a_spot_config",
    "a_spot_sdk", "an_sdk",
]  # fmt: skip

PATHS = {
    "fapiPublic": "/fapi/v1", "fapiPublicV2": "/fapi/v2", "fapiPublicV3": "/fapi/v3", "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2", "fapiPrivateV3": "/fapi/v3", "sapi": "/sapi/v1",
    "public": "/api/v3", "private": "/api/v3",
}  # fmt: skip
OPTIONS = {"fetchCurrencies": False, "fetchMargins": False, "fetchOpenOrders": {"warnWithoutSymbol": False}}


def a_config(exchange: Running, customer: Customer) -> dict[str, Any]:
    """What ccxt is made with, alike for REST and streams."""
    return {
        "apiKey": customer.api_key,
        "secret": customer.api_secret,
        "enableRateLimit": False,
        "urls": {"api": {name: exchange.url + path for name, path in PATHS.items()}},
        "options": OPTIONS,
    }


def a_spot_config(exchange: Running, customer: Customer) -> dict[str, Any]:
    """What ccxt's spot client is made with."""
    spot = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
    return a_config(exchange, customer) | {"options": OPTIONS | spot}


@asynccontextmanager
async def a_ccxt(exchange: Running, customer: Customer) -> AsyncIterator[Any]:
    client = ccxt.binanceusdm(a_config(exchange, customer))
    await client.load_markets()
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def a_python_binance(exchange: Running, customer: Customer) -> Iterator[Any]:
    """Blocking: to be used in a thread."""
    client = Client(customer.api_key, customer.api_secret, ping=False)
    client.FUTURES_URL, client.API_URL = exchange.url + "/fapi", exchange.url + "/api"
    try:
        yield client
    finally:
        client.close_connection()
        client.loop.close()  # the client opens a loop of its own and leaves it open


def an_sdk(exchange: Running, customer: Customer) -> Any:
    """REST blocks: to be used in a thread. Streams are asynchronous."""
    rest = ConfigurationRestAPI(customer.api_key, customer.api_secret, base_path=exchange.url, timeout=5000)
    streams = ConfigurationWebSocketStreams(stream_url=exchange.url.replace("http", "ws"))
    return DerivativesTradingUsdsFutures(rest, config_ws_streams=streams)


def a_spot_sdk(exchange: Running, customer: Customer) -> Any:
    """REST blocks: to be used in a thread. The WebSocket API is asynchronous."""
    keys = (customer.api_key, customer.api_secret)
    rest = ConfigurationRestAPI(*keys, base_path=exchange.url, timeout=5000)
    socket = ConfigurationWebSocketAPI(*keys, stream_url=exchange.url.replace("http", "ws") + "/ws-api/v3")
    return Spot(rest, config_ws_api=socket)


def fields_amiss(answer: Any) -> tuple[set[str], set[str]]:
    """Names of fields that an answer of Binance's SDK lacks (or has as null), and of those unknown to its models."""
    absent: set[str] = set()
    unknown: set[str] = set()

    def look_through(part: Any) -> None:
        part = getattr(part, "actual_instance", None) or part
        if isinstance(part, list):
            for row in part:
                look_through(row)
        elif isinstance(part, BaseModel):
            unknown.update(getattr(part, "additional_properties", {}))
            for name in set(type(part).model_fields) - {"additional_properties"}:
                look_through(getattr(part, name))
                if getattr(part, name) is None:
                    absent.add(name)

    look_through(answer)
    return absent, unknown
