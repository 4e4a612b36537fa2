"""The markets behind the gate: USDⓈ-M Futures, Spot, and the wallet's key check."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from services.paper_exchange.endpoint import Endpoint, Security
from services.paper_exchange.followers import Followers
from services.paper_exchange.futures import model as futures
from services.paper_exchange.futures import routes as futures_routes
from services.paper_exchange.keyring import Key, permissions
from services.paper_exchange.limits import (
    FUTURES_LIMITS,
    SAPI_WEIGHT_PER_MINUTE,
    SPOT_LIMITS,
    SPOT_WEIGHT_PER_MINUTE,
    SPOT_WORDS,
    WEIGHT_PER_MINUTE,
    WeightCount,
)
from services.paper_exchange.signing import Params
from services.paper_exchange.spot import model as spot
from services.paper_exchange.spot import routes as spot_routes
from services.paper_exchange.stream import Hub
from services.paper_exchange.venue import USED_WEIGHT, Venue

NO_KEY = Key("", "", 0)
NOBODY, NO_WALLET = futures.Account("", futures.ZERO, 0), spot.Account("", 0)


def futures_venue(market: futures.Market, hub: Hub, *, enforced: bool) -> Venue:
    """/fapi: recvWindow has no documented maximum there."""

    def call(key: Key, params: Params, now_ms: int) -> futures_routes.Call:
        return futures_routes.Call(market, market.accounts.get(key.api_key, NOBODY), key, params, now_ms)

    def keyed(action: Callable[[futures.Account], Any]) -> Endpoint[futures_routes.Call]:
        return Endpoint(lambda call: action(call.account), security=Security.KEY)

    endpoints = {
        **futures_routes.ROUTES,
        ("POST", "/fapi/v1/listenKey"): keyed(hub.create),
        ("PUT", "/fapi/v1/listenKey"): keyed(hub.extend),
        ("DELETE", "/fapi/v1/listenKey"): keyed(hub.close),
    }
    weights = WeightCount(WEIGHT_PER_MINUTE, enforced=enforced)
    return Venue(
        _telling_limit(endpoints, "/fapi/v1/exchangeInfo", weights),
        weights,
        call,
        publish=lambda key: hub.publish(market.accounts[key.api_key]),
        order_limits=FUTURES_LIMITS,
        late_code=-5028,
        longest_window_ms=None,
    )


def spot_venue(market: spot.Market, followers: Followers, *, enforced: bool) -> Venue:
    """/api: counts unfilled orders only, and tells the used weight under two names."""

    def call(key: Key, params: Params, now_ms: int) -> spot_routes.Call:
        account = market.accounts.get(key.api_key, NO_WALLET)
        return spot_routes.Call(market, account, key, params, now_ms, venue.order_count(key))

    weights = WeightCount(SPOT_WEIGHT_PER_MINUTE, SPOT_WORDS, enforced=enforced)
    venue = Venue(
        _telling_limit(spot_routes.ROUTES, "/api/v3/exchangeInfo", weights),
        weights,
        call,
        publish=lambda key: followers.publish(market.accounts[key.api_key]),
        order_limits=SPOT_LIMITS,
        unfilled_only=True,
        weight_headers=("X-MBX-USED-WEIGHT", USED_WEIGHT),
    )
    return venue


def wallet_venue(*, enforced: bool) -> Venue:
    """/sapi: what a key may do, with limits of its own."""
    return Venue(
        {("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(permissions)},
        WeightCount(SAPI_WEIGHT_PER_MINUTE, SPOT_WORDS, enforced=enforced),
        call=lambda key, *_: key,
        weight_headers=("X-SAPI-USED-IP-WEIGHT-1M",),
    )


def _telling_limit(
    routes: Mapping[tuple[str, str], Endpoint[Any]], path: str, weights: WeightCount
) -> dict[tuple[str, str], Endpoint[Any]]:
    """The endpoints, with exchangeInfo at `path` telling the weight limit that holds here."""
    endpoint = routes["GET", path]

    def answer(call: Any) -> Any:
        info = endpoint.answer(call)
        limits = [
            row | {"limit": weights.told} if row["rateLimitType"] == "REQUEST_WEIGHT" else row
            for row in info["rateLimits"]
        ]
        return info | {"rateLimits": limits}

    return {**routes, ("GET", path): replace(endpoint, answer=answer)}
