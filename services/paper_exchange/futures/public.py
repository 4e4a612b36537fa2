"""Market data answers: exchangeInfo, prices, mark prices, brackets. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "Market Data" and "Notional and Leverage Brackets".
"""

from decimal import Decimal

import orjson

from services.paper_exchange.futures.model import Json, Market
from services.paper_exchange.futures.render import money, price
from services.paper_exchange.futures.rules import plain
from services.paper_exchange.futures.symbols import (
    MARGIN_ASSET,
    MARKET_TAKE_BOUND,
    OPEN_ORDERS_MAX,
    ORDER_TYPES,
    SYMBOLS,
    TIMES_IN_FORCE,
    TRADING,
    Symbol,
)
from services.paper_exchange.limits import ORDERS_PER_10_SECONDS, ORDERS_PER_MINUTE, WEIGHT_PER_MINUTE

EIGHT_HOURS_MS, DAY_MS = 28_800_000, 86_400_000
ORDER_LIMITS: list[Json] = [
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_PER_10_SECONDS},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ORDERS_PER_MINUTE},
]
WEIGHT_LIMIT: Json = {
    "rateLimitType": "REQUEST_WEIGHT",
    "interval": "MINUTE",
    "intervalNum": 1,
    "limit": WEIGHT_PER_MINUTE,
}


def exchange_info(market: Market, now_ms: int) -> Json:
    """GET /fapi/v1/exchangeInfo."""
    assets = [MARGIN_ASSET, *(symbol.base for symbol in SYMBOLS.values())]
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [WEIGHT_LIMIT, *ORDER_LIMITS],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": asset == MARGIN_ASSET, "autoAssetExchange": "0"} for asset in assets
        ],
        "symbols": [_symbol(symbol, market.statuses.get(symbol.name, TRADING)) for symbol in SYMBOLS.values()],
    }


def premium_index(market: Market, symbol: str, now_ms: int) -> Json:
    """A row of GET /fapi/v1/premiumIndex; mark and index are the one price, the funding rate is 0."""
    mark = money(market.prices[symbol])
    return {
        "symbol": symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "0.00000000",
        "interestRate": "0.00010000",
        "nextFundingTime": (now_ms // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS,
        "time": now_ms,
    }


def ticker_price(market: Market, symbol: str, now_ms: int) -> Json:
    """A row of GET /fapi/v1|v2/ticker/price."""
    return {"symbol": symbol, "price": price(symbol, market.prices[symbol]), "time": now_ms}


def book_ticker(market: Market, symbol: str, now_ms: int) -> Json:
    """A row of GET /fapi/v1/ticker/bookTicker; bid and ask are the one price."""
    both, size = price(symbol, market.prices[symbol]), plain(SYMBOLS[symbol].market_max_qty)
    return {
        "symbol": symbol,
        "bidPrice": both,
        "bidQty": size,
        "askPrice": both,
        "askQty": size,
        "time": now_ms,
        "lastUpdateId": now_ms,
    }


def depth(market: Market, symbol: str, now_ms: int) -> Json:
    """GET /fapi/v1/depth: one level on each side, both at the one price."""
    level = [price(symbol, market.prices[symbol]), plain(SYMBOLS[symbol].market_max_qty)]
    return {"lastUpdateId": now_ms, "E": now_ms, "T": now_ms, "bids": [level], "asks": [level]}


def ticker_24hr(market: Market, symbol: str, now_ms: int) -> Json:
    """A row of GET /fapi/v1/ticker/24hr: the price against that of the start; nobody else trades, so no volume."""
    opened, last = SYMBOLS[symbol].start_price, market.prices[symbol]
    return {
        "symbol": symbol,
        "priceChange": price(symbol, last - opened),
        "priceChangePercent": f"{(last - opened) / opened * 100:.3f}",
        "weightedAvgPrice": price(symbol, last),
        "lastPrice": price(symbol, last),
        "lastQty": "0",
        "openPrice": price(symbol, opened),
        "highPrice": price(symbol, max(opened, last)),
        "lowPrice": price(symbol, min(opened, last)),
        "volume": "0",
        "quoteVolume": "0",
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": 0,
        "lastId": 0,
        "count": 0,
    }


def leverage_brackets(symbol: str) -> Json:
    """A row of GET /fapi/v1/leverageBracket; its numbers are JSON numbers, as on the real exchange."""
    rows = [
        {
            "bracket": bracket.number,
            "initialLeverage": bracket.leverage,
            "notionalCap": int(bracket.cap),
            "notionalFloor": int(bracket.floor),
            "maintMarginRatio": _json_number(bracket.ratio),
            "cum": _json_number(bracket.cum),
        }
        for bracket in SYMBOLS[symbol].brackets
    ]
    return {"symbol": symbol, "brackets": rows}


def _json_number(number: Decimal) -> orjson.Fragment:
    """A decimal written into JSON as a bare number, digit for digit."""
    return orjson.Fragment(plain(number))


def _symbol(symbol: Symbol, status: str) -> Json:
    return {
        "symbol": symbol.name,
        "pair": symbol.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base,
        "quoteAsset": MARGIN_ASSET,
        "marginAsset": MARGIN_ASSET,
        "pricePrecision": symbol.price_precision,
        "quantityPrecision": symbol.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": str(MARKET_TAKE_BOUND),
        "maxMoveOrderLimit": 10000,
        "filters": _filters(symbol),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIMES_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(symbol: Symbol) -> list[Json]:
    lot = {"minQty": str(symbol.step), "stepSize": str(symbol.step)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "tickSize": str(symbol.tick),
            "minPrice": str(symbol.min_price),
            "maxPrice": str(symbol.max_price),
        },
        {"filterType": "LOT_SIZE", **lot, "maxQty": str(symbol.max_qty)},
        {"filterType": "MARKET_LOT_SIZE", **lot, "maxQty": str(symbol.market_max_qty)},
        {"filterType": "MAX_NUM_ORDERS", "limit": OPEN_ORDERS_MAX},
        {"filterType": "MIN_NOTIONAL", "notional": str(symbol.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{symbol.up:.4f}",
            "multiplierDown": f"{symbol.down:.4f}",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]
