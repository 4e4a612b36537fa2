"""Market data answers of the spot market: exchangeInfo and prices. Pure.

Source: binance-spot-api-docs, "Exchange information", "Symbol price ticker", "Symbol order book ticker".
"""

from services.paper_exchange.limits import SPOT_LIMITS, SPOT_WEIGHT_PER_MINUTE
from services.paper_exchange.spot.model import Json, Market
from services.paper_exchange.spot.rules import money
from services.paper_exchange.spot.symbols import (
    ASK_BAND,
    BID_BAND,
    MAX_NOTIONAL,
    MAX_NUM_ALGO_ORDERS,
    MAX_NUM_ORDER_LISTS,
    MAX_NUM_ORDERS,
    ORDER_TYPES,
    PRECISION,
    QUOTE,
    STP_DEFAULT,
    STP_MODES,
    SYMBOLS,
    TRADING,
    Symbol,
)

PRICE_MINUTES = 5
RATE_LIMITS: list[Json] = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": SPOT_WEIGHT_PER_MINUTE},
    *({"rateLimitType": "ORDERS", "interval": i.unit, "intervalNum": i.number, "limit": i.limit} for i in SPOT_LIMITS),
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
]


def exchange_info(market: Market, symbols: list[str], now_ms: int, *, permission_sets: bool) -> Json:
    """GET /api/v3/exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [_symbol(SYMBOLS[name], status_of(market, name), permission_sets) for name in symbols],
    }


def ticker_price(market: Market, symbol: str) -> Json:
    """A row of GET /api/v3/ticker/price."""
    return {"symbol": symbol, "price": money(market.prices[symbol])}


def book_ticker(market: Market, symbol: str) -> Json:
    """A row of GET /api/v3/ticker/bookTicker; bid and ask are the one price."""
    price, size = money(market.prices[symbol]), money(SYMBOLS[symbol].market_max_qty)
    return {"symbol": symbol, "bidPrice": price, "bidQty": size, "askPrice": price, "askQty": size}


def average_price(market: Market, symbol: str, now_ms: int) -> Json:
    """GET /api/v3/avgPrice; the average is the one price."""
    return {"mins": PRICE_MINUTES, "price": money(market.prices[symbol]), "closeTime": now_ms}


def status_of(market: Market, symbol: str) -> str:
    """Whether a symbol trades."""
    return market.statuses.get(symbol, TRADING)


def _symbol(symbol: Symbol, status: str, permission_sets: bool) -> Json:
    return {
        "symbol": symbol.name,
        "status": status,
        "baseAsset": symbol.base,
        "baseAssetPrecision": PRECISION,
        "quoteAsset": QUOTE,
        "quotePrecision": PRECISION,
        "quoteAssetPrecision": PRECISION,
        "baseCommissionPrecision": PRECISION,
        "quoteCommissionPrecision": PRECISION,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(symbol),
        "permissions": [],
        "permissionSets": [["SPOT"]] if permission_sets else [],
        "defaultSelfTradePreventionMode": STP_DEFAULT,
        "allowedSelfTradePreventionModes": STP_MODES,
    }


def filters(symbol: Symbol) -> list[Json]:
    """The symbol's filters, in the live order."""
    tick, step = money(symbol.tick), money(symbol.step)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": money(symbol.max_price), "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": money(symbol.max_qty), "stepSize": step},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": money(symbol.market_max_qty),
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(BID_BAND[1]),
            "bidMultiplierDown": str(BID_BAND[0]),
            "askMultiplierUp": str(ASK_BAND[1]),
            "askMultiplierDown": str(ASK_BAND[0]),
            "avgPriceMins": PRICE_MINUTES,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": money(symbol.min_notional),
            "applyMinToMarket": True,
            "maxNotional": money(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": PRICE_MINUTES,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_NUM_ORDERS},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": MAX_NUM_ORDER_LISTS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_NUM_ALGO_ORDERS},
    ]
