"""The parameters each spot endpoint takes: whatever else is sent is refused. Pure.

Source: binance-spot-api-docs, rest-api.md, the parameters of each endpoint; those of features left out here stand too,
because Binance reads them.
"""

_SIGNED = frozenset({"timestamp", "recvWindow", "signature"})
_ORDER = _SIGNED | {
    "symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "newClientOrderId", "strategyId",
    "strategyType", "stopPrice", "trailingDelta", "icebergQty", "newOrderRespType", "selfTradePreventionMode",
    "pegPriceType", "pegOffsetValue", "pegOffsetType",
}  # fmt: skip
_LEG = (
    "Type", "ClientOrderId", "IcebergQty", "Price", "StopPrice", "TrailingDelta", "TimeInForce", "StrategyId",
    "StrategyType", "PegPriceType", "PegOffsetType", "PegOffsetValue",
)  # fmt: skip
_LIST = _SIGNED | {
    "symbol", "listClientOrderId", "side", "quantity", "newOrderRespType", "selfTradePreventionMode",
}  # fmt: skip
_OLD_OCO = _LIST | {
    "limitClientOrderId", "price", "limitStrategyId", "limitStrategyType", "limitIcebergQty", "trailingDelta",
    "stopClientOrderId", "stopPrice", "stopStrategyId", "stopStrategyType", "stopLimitPrice", "stopIcebergQty",
    "stopLimitTimeInForce",
}  # fmt: skip
_PAGE = _SIGNED | {"startTime", "endTime", "limit"}
_FIND = _SIGNED | {"symbol", "orderId", "origClientOrderId"}
_SYMBOLS = frozenset({"symbol", "symbols", "symbolStatus"})

NAMES: dict[tuple[str, str], frozenset[str]] = {
    ("GET", "/api/v3/ping"): frozenset(),
    ("GET", "/api/v3/time"): frozenset(),
    ("GET", "/api/v3/exchangeInfo"): _SYMBOLS | {"permissions", "showPermissionSets"},
    ("GET", "/api/v3/ticker/price"): _SYMBOLS,
    ("GET", "/api/v3/ticker/bookTicker"): _SYMBOLS,
    ("GET", "/api/v3/avgPrice"): frozenset({"symbol"}),
    ("POST", "/api/v3/order"): _ORDER,
    ("POST", "/api/v3/order/test"): _ORDER | {"computeCommissionRates"},
    ("GET", "/api/v3/order"): _FIND,
    ("DELETE", "/api/v3/order"): _FIND | {"newClientOrderId", "cancelRestrictions"},
    ("GET", "/api/v3/openOrders"): _SIGNED | {"symbol"},
    ("DELETE", "/api/v3/openOrders"): _SIGNED | {"symbol"},
    ("GET", "/api/v3/allOrders"): _PAGE | {"symbol", "orderId"},
    ("POST", "/api/v3/orderList/oco"): _LIST | {leg + name for leg in ("above", "below") for name in _LEG},
    ("POST", "/api/v3/order/oco"): _OLD_OCO,
    ("GET", "/api/v3/orderList"): _SIGNED | {"orderListId", "origClientOrderId"},
    ("DELETE", "/api/v3/orderList"): _SIGNED | {"symbol", "orderListId", "listClientOrderId", "newClientOrderId"},
    ("GET", "/api/v3/allOrderList"): _PAGE | {"fromId"},
    ("GET", "/api/v3/openOrderList"): _SIGNED,
    ("GET", "/api/v3/account"): _SIGNED | {"omitZeroBalances"},
    ("GET", "/api/v3/account/commission"): _SIGNED | {"symbol"},
    ("GET", "/api/v3/myTrades"): _PAGE | {"symbol", "orderId", "fromId"},
    ("GET", "/api/v3/rateLimit/order"): _SIGNED,
}
