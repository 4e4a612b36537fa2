"""REST answers of the trading endpoints as Binance writes them. Pure.

Prices are padded to the symbol's pricePrecision, averages a little further, algo lists and empty values stripped,
ids and times are numbers, amounts strings. Source: developers.binance.com, USDⓈ-M Futures, "Trade"; since 2026-06-30
answers to POST and DELETE carry neither avgPrice nor cumQuote, answers to GET do.
"""

from decimal import Decimal

from services.paper_exchange.futures.model import Algo, Income, Json, Order, Trade
from services.paper_exchange.futures.rules import LIMIT_ALGO_TYPES, plain
from services.paper_exchange.futures.symbols import MARGIN_ASSET, SYMBOLS


def money(amount: Decimal) -> str:
    """USDT with eight decimals."""
    return f"{amount:.8f}"


def price(symbol: str, value: Decimal) -> str:
    """A price padded to pricePrecision."""
    return f"{value:.{SYMBOLS[symbol].price_precision}f}"


def average(symbol: str, value: Decimal) -> str:
    """An average price or quote amount, padded further than a price."""
    return f"{value:.{max(5, SYMBOLS[symbol].price_precision + 1)}f}"


def quantity(symbol: str, value: Decimal) -> str:
    """A quantity padded to quantityPrecision, or "0"."""
    return f"{value:.{SYMBOLS[symbol].quantity_precision}f}" if value else "0"


def placed(order: Order, *, acknowledge: bool = False) -> Json:
    """Answer of POST and DELETE order; `acknowledge` is the ACK form, which tells nothing of fills."""
    executed = "0" if acknowledge else quantity(order.symbol, order.executed)
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": "NEW" if acknowledge else order.status,
        "clientOrderId": order.client_id,
        "price": price(order.symbol, order.price),
        "origQty": quantity(order.symbol, order.quantity),
        "executedQty": executed,
        "cumQty": executed,
        **_tail(order),
        "updateTime": order.updated_ms,
    }


def queried(order: Order) -> Json:
    """Answer of GET order, and a row of openOrders."""
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": price(order.symbol, order.price),
        "avgPrice": average(order.symbol, order.average),
        "origQty": quantity(order.symbol, order.quantity),
        "executedQty": quantity(order.symbol, order.executed),
        "cumQuote": average(order.symbol, order.cum_quote),
        **_tail(order),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def listed(order: Order) -> Json:
    """A row of allOrders."""
    empty = {"stopPrice": "0", "cumBase": "0", "pair": order.symbol}
    return queried(order) | empty | ({} if order.price else {"price": "0"})


def _tail(order: Order) -> Json:
    return {
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": price(order.symbol, Decimal(0)),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.stp,
        "goodTillDate": order.good_till_ms,
    }


def algo_placed(algo: Algo) -> Json:
    """Answer of POST algoOrder."""
    return {
        **_algo_head(algo),
        "triggerPrice": price(algo.symbol, algo.trigger_price),
        "price": price(algo.symbol, algo.price),
        **_algo_tail(algo),
    }


def algo_open(algo: Algo) -> Json:
    """A row of openAlgoOrders."""
    return {
        **_algo_head(algo),
        "actualOrderId": "",
        "actualQty": "0.0",
        "triggerPrice": plain(algo.trigger_price),
        "price": plain(algo.price) if algo.price else "0.0",
        **_algo_tail(algo),
        "isActivated": False,
    }


def algo_queried(algo: Algo) -> Json:
    """Answer of GET algoOrder, and a row of allAlgoOrders."""
    actual: Json = {
        "actualOrderId": str(algo.order_id or ""),
        "actualPrice": average(algo.symbol, algo.actual_price),
    }
    if algo.order_id:
        actual["actualQty"] = quantity(algo.symbol, algo.actual_quantity)
        actual["actualType"] = "LIMIT" if algo.type in LIMIT_ALGO_TYPES else "MARKET"
    return {
        **_algo_head(algo),
        **actual,
        "triggerPrice": price(algo.symbol, algo.trigger_price),
        "price": price(algo.symbol, algo.price),
        "tpOrderType": "",
        **_algo_tail(algo),
        "isActivated": False,
    }


def algo_canceled(algo: Algo) -> Json:
    """Answer of DELETE algoOrder; its code is a string, unlike that of cancel-all."""
    return {"algoId": algo.id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def _algo_head(algo: Algo) -> Json:
    return {
        "algoId": algo.id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": quantity(algo.symbol, algo.quantity),
        "algoStatus": algo.status,
    }


def _algo_tail(algo: Algo) -> Json:
    return {
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.stp,
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": algo.good_till_ms,
    }


def trade(row: Trade) -> Json:
    """A row of userTrades."""
    return {
        "symbol": row.symbol,
        "id": row.id,
        "orderId": row.order_id,
        "pair": row.symbol,
        "side": row.side,
        "price": price(row.symbol, row.price),
        "qty": quantity(row.symbol, row.quantity),
        "realizedPnl": money(row.realized),
        "quoteQty": money(row.price * row.quantity),
        "commission": money(row.fee),
        "commissionAsset": MARGIN_ASSET,
        "time": row.time_ms,
        "buyer": row.side == "BUY",
        "maker": row.maker,
        "positionSide": row.position_side,
        "baseQty": "0",
        "marginAsset": MARGIN_ASSET,
    }


def income(row: Income) -> Json:
    """A row of income."""
    return {
        "symbol": row.symbol,
        "incomeType": row.type,
        "income": money(row.amount),
        "asset": MARGIN_ASSET,
        "info": row.type,
        "time": row.time_ms,
        "tranId": row.id,
        "tradeId": str(row.trade_id or ""),
    }
