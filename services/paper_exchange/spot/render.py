"""REST answers of the spot trading endpoints as Binance writes them. Pure.

Amounts are strings of eight decimals, ids and times numbers. Source: binance-spot-api-docs, rest-api.md.
"""

from services.paper_exchange.spot.model import ALGO_TYPES, ZERO, Account, Json, Order, OrderList, Trade
from services.paper_exchange.spot.rules import money


def placed(account: Account, order: Order, detail: str) -> Json:
    """Answer of POST order; `detail` is ACK, RESULT or FULL."""
    head = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
    }
    if detail == "ACK":
        return head
    body = head | _amounts(order) | {"workingTime": order.working_ms}
    if detail == "FULL":
        body["fills"] = [
            {
                "price": money(row.price),
                "qty": money(row.quantity),
                "commission": money(row.fee),
                "commissionAsset": row.fee_asset,
                "tradeId": row.id,
            }
            for row in account.trades.get(order.id, [])
        ]
    return body | {"selfTradePreventionMode": order.stp}


def canceled(order: Order, cancel_id: str) -> Json:
    """Answer of DELETE order; `cancel_id` names the cancel itself."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": cancel_id,
        "transactTime": order.updated_ms,
        **_amounts(order),
        "selfTradePreventionMode": order.stp,
    }


def queried(order: Order) -> Json:
    """Answer of GET order, and a row of openOrders and allOrders."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "price": money(order.price),
        "origQty": money(order.quantity),
        "executedQty": money(order.executed),
        "cummulativeQuoteQty": money(order.cum_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "stopPrice": money(order.stop_price),
        "icebergQty": money(ZERO),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": not order.is_waiting,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": money(order.quote_quantity),
        **_extras(order),
        "selfTradePreventionMode": order.stp,
    }


def order_list(account: Account, row: OrderList) -> Json:
    """Answer of GET orderList, and the head of every answer about a list."""
    return {
        "orderListId": row.id,
        "contingencyType": row.contingency,
        "listStatusType": "ALL_DONE" if row.done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if row.done else "EXECUTING",
        "listClientOrderId": row.client_id,
        "transactionTime": row.time_ms,
        "symbol": row.symbol,
        "orders": [
            {"symbol": row.symbol, "orderId": order.id, "clientOrderId": order.client_id}
            for order in _orders(account, row)
        ],
    }


def list_placed(account: Account, row: OrderList, detail: str) -> Json:
    """Answer of POST orderList/oco."""
    reports = [placed(account, order, detail) for order in _orders(account, row)]
    return order_list(account, row) | {"orderReports": reports}


def list_canceled(account: Account, row: OrderList, cancel_id: str) -> Json:
    """Answer of DELETE orderList, and of DELETE order for an order of a list."""
    reports = [canceled(order, cancel_id) for order in _orders(account, row)]
    return order_list(account, row) | {"orderReports": reports}


def trade(row: Trade) -> Json:
    """A row of myTrades."""
    return {
        "symbol": row.symbol,
        "id": row.id,
        "orderId": row.order_id,
        "orderListId": row.list_id,
        "price": money(row.price),
        "qty": money(row.quantity),
        "quoteQty": money(row.quote),
        "commission": money(row.fee),
        "commissionAsset": row.fee_asset,
        "time": row.time_ms,
        "isBuyer": row.side == "BUY",
        "isMaker": row.maker,
        "isBestMatch": True,
    }


def _orders(account: Account, row: OrderList) -> list[Order]:
    return [account.orders[order_id] for order_id in row.order_ids]


def _amounts(order: Order) -> Json:
    stop = {"stopPrice": money(order.stop_price)} if order.type in ALGO_TYPES else {}
    return {
        "price": money(order.price),
        "origQty": money(order.quantity),
        "executedQty": money(order.executed),
        "origQuoteOrderQty": money(order.quote_quantity),
        "cummulativeQuoteQty": money(order.cum_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        **stop,
        **_extras(order),
    }


def _extras(order: Order) -> Json:
    """The fields that appear only where there is something to say."""
    extras: Json = {}
    if order.strategy_id is not None:
        extras["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        extras["strategyType"] = order.strategy_type
    if order.status == "EXPIRED":
        extras["expiryReason"] = order.expiry_reason
    return extras
