"""ccxt and python-binance on the spot market, unchanged but for the base URL. Binance's own: test_paper_spot_sdk."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support
import ccxt.pro
import pytest

from services.paper_exchange.tests.clients import (
    AsyncClient,
    BinanceAPIException,
    BinanceSocketManager,
    a_python_binance,
    a_spot_config,
)
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTC/USDT"
OCO = {
    "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.00999", "aboveType": "LIMIT_MAKER", "abovePrice": "99000",
    "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "93000", "belowPrice": "92500", "belowTimeInForce": "GTC",
}  # fmt: skip


@pytest.fixture
async def ccxt_client(exchange: Running, customer: Customer) -> AsyncIterator[Any]:
    client = ccxt.async_support.binance(a_spot_config(exchange, customer))
    await client.load_markets()
    yield client
    await client.close()


async def test_ccxt_reads_the_spot_markets(ccxt_client: Any) -> None:
    market = ccxt_client.market(BTC)
    assert (market["spot"], market["precision"]["price"], market["precision"]["amount"]) == (True, 0.01, 0.00001)
    assert market["limits"]["cost"]["min"] == 5
    assert len(ccxt_client.symbols) == 6
    assert await ccxt_client.fetch_ticker_price(BTC) if hasattr(ccxt_client, "fetch_ticker_price") else True


async def test_ccxt_buys_protects_and_is_stopped_out(exchange: Running, ccxt_client: Any) -> None:
    entry = await ccxt_client.create_order(
        BTC, "market", "buy", 0, None, {"quoteOrderQty": "1000", "newClientOrderId": "e1"}
    )
    assert (entry["status"], entry["filled"], entry["average"]) == ("closed", 0.0105, 95234.5)
    assert entry["fee"] == {"currency": "BTC", "cost": 0.0000105}
    held = (await ccxt_client.fetch_balance())["BTC"]
    assert held == {"free": 0.0104895, "used": 0.0, "total": 0.0104895}
    oco = await ccxt_client.privatePostOrderListOco(
        {
            "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01048", "listClientOrderId": "o1",
            "aboveType": "TAKE_PROFIT", "aboveStopPrice": "99000.00", "aboveClientOrderId": "t1",
            "belowType": "STOP_LOSS", "belowStopPrice": "93000.00", "belowClientOrderId": "s1",
        }
    )  # fmt: skip
    assert [(r["clientOrderId"], r["type"], r["status"]) for r in oco["orderReports"]] == [
        ("s1", "STOP_LOSS", "NEW"), ("t1", "TAKE_PROFIT", "NEW"),
    ]  # fmt: skip
    assert (await ccxt_client.fetch_balance())["BTC"]["used"] == 0.01048
    with pytest.raises(ccxt.InsufficientFunds):
        await ccxt_client.create_order(BTC, "market", "sell", 0.01)
    await exchange.move("BTCUSDT", "92990")
    stop = await ccxt_client.fetch_order(None, BTC, {"origClientOrderId": "s1"})
    assert (stop["status"], stop["average"], stop["filled"]) == ("closed", 92990, 0.01048)
    target = await ccxt_client.fetch_order(None, BTC, {"origClientOrderId": "t1"})
    assert target["status"] == "expired"
    row = await ccxt_client.privateGetOrderList({"origClientOrderId": "o1"})
    assert (row["listOrderStatus"], row["listStatusType"]) == ("ALL_DONE", "ALL_DONE")
    trades = await ccxt_client.fetch_my_trades(BTC)
    assert [(trade["side"], trade["fee"]["currency"]) for trade in trades] == [("buy", "BTC"), ("sell", "USDT")]


async def test_ccxt_cancels_one_order_and_with_it_the_list(ccxt_client: Any) -> None:
    await ccxt_client.create_order(BTC, "market", "buy", 0.01)
    placed = await ccxt_client.privatePostOrderListOco(OCO)
    assert [row["type"] for row in placed["orderReports"]] == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]
    assert len(await ccxt_client.fetch_open_orders(BTC)) == 2
    canceled = await ccxt_client.cancel_order(placed["orderReports"][0]["orderId"], BTC)
    assert canceled["info"]["listOrderStatus"] == "ALL_DONE"
    assert await ccxt_client.fetch_open_orders(BTC) == []
    again = await ccxt_client.privatePostOrderListOco(OCO)
    assert len(await ccxt_client.privateGetOpenOrderList()) == 1
    await ccxt_client.privateDeleteOrderList({"symbol": "BTCUSDT", "orderListId": again["orderListId"]})
    with pytest.raises(ccxt.OrderNotFound):
        await ccxt_client.privateDeleteOrderList({"symbol": "BTCUSDT", "orderListId": again["orderListId"]})
    assert len(await ccxt_client.privateGetAllOrderList()) == 2
    assert (await ccxt_client.sapiGetAccountApiRestrictions())["enableSpotAndMarginTrading"] is True


async def test_ccxt_rests_stops_and_cancels_all(exchange: Running, ccxt_client: Any) -> None:
    resting = await ccxt_client.create_order(BTC, "limit", "buy", 0.01, 94000, {"newClientOrderId": "r1"})
    assert (resting["status"], (await ccxt_client.fetch_balance())["USDT"]["used"]) == ("open", 940)
    assert (await ccxt_client.cancel_order(resting["id"], BTC))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await ccxt_client.cancel_order(resting["id"], BTC)
    await ccxt_client.create_order(BTC, "market", "buy", 0.01)
    stop = await ccxt_client.create_order(BTC, "market", "sell", 0.005, None, {"stopLossPrice": 93000})
    target = await ccxt_client.create_order(BTC, "limit", "sell", 0.00499, 99000, {"takeProfitPrice": 98000})
    kinds = [(await ccxt_client.fetch_order(row["id"], BTC))["info"]["type"] for row in (stop, target)]
    assert kinds == ["STOP_LOSS", "TAKE_PROFIT_LIMIT"]
    assert len(await ccxt_client.cancel_all_orders(BTC)) == 2
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await ccxt_client.create_order(BTC, "market", "sell", 0.005, None, {"stopLossPrice": 96000})
    with pytest.raises(ccxt.BadRequest, match="Filter failure: NOTIONAL"):
        await ccxt_client.create_order(BTC, "market", "buy", 0.00002)
    sold = await ccxt_client.create_order(BTC, "market", "sell", 0.00999)
    assert (sold["cost"], sold["fee"]) == (pytest.approx(951.392655), {"currency": "USDT", "cost": 0.95139265})
    assert [row["status"] for row in await ccxt_client.fetch_orders(BTC)] == [
        "canceled", "closed", "canceled", "canceled", "closed",
    ]  # fmt: skip


async def test_ccxt_pro_watches_orders_and_balances(exchange: Running, customer: Customer) -> None:
    client = ccxt.pro.binance(a_spot_config(exchange, customer))
    client.urls["api"]["ws"]["ws-api"]["spot"] = exchange.url.replace("http", "ws") + "/ws-api/v3"
    try:
        await client.load_markets()
        watching = asyncio.create_task(client.watch_orders(BTC))
        async with asyncio.timeout(10):
            while not exchange.gate.followers.of_account:
                await asyncio.sleep(0.01)
            await customer.ok("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
            rows = await watching
            while rows[-1]["status"] != "closed":
                rows = await client.watch_orders(BTC)
            balance = await client.fetch_balance()
        assert (rows[-1]["filled"], rows[-1]["average"]) == (0.01, 95234.5)
        assert balance["BTC"]["free"] == 0.00999
    finally:
        await client.close()


async def test_python_binance_buys_protects_and_reads(exchange: Running, customer: Customer) -> None:
    def play() -> None:
        with a_python_binance(exchange, customer) as client:
            assert client.get_symbol_info("BTCUSDT")["quoteOrderQtyMarketAllowed"] is True
            assert client.get_symbol_ticker(symbol="BTCUSDT")["price"] == "95234.50000000"
            assert client.get_avg_price(symbol="BTCUSDT")["mins"] == 5
            bought = client.order_market_buy(symbol="BTCUSDT", quoteOrderQty="1000")
            assert (bought["status"], bought["fills"][0]["commissionAsset"]) == ("FILLED", "BTC")
            client.create_test_order(symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.01")
            oco = client.create_oco_order(**OCO)
            assert client.v3_get_order_list(orderListId=oco["orderListId"])["listOrderStatus"] == "EXECUTING"
            assert len(client.get_open_orders(symbol="BTCUSDT")) == 2
            client.v3_delete_order_list(symbol="BTCUSDT", orderListId=oco["orderListId"])
            assert client.get_asset_balance(asset="BTC")["free"] == "0.01048950"
            sold = client.order_market_sell(symbol="BTCUSDT", quantity="0.01048")
            assert client.get_order(symbol="BTCUSDT", orderId=sold["orderId"])["status"] == "FILLED"
            assert len(client.get_my_trades(symbol="BTCUSDT")) == 2
            with pytest.raises(BinanceAPIException) as refusal:
                client.order_market_sell(symbol="BTCUSDT", quantity="0.01")
            assert (refusal.value.status_code, refusal.value.code) == (400, -2010)
            assert refusal.value.message == "Account has insufficient balance for requested action."
            with pytest.raises(BinanceAPIException) as refusal:
                client.stream_get_listen_key()
            assert refusal.value.status_code == 410

    await asyncio.to_thread(play)


async def test_python_binance_follows_the_user_stream(exchange: Running, customer: Customer) -> None:
    client = AsyncClient(customer.api_key, customer.api_secret)
    client.ws_api._url = exchange.url.replace("http", "ws") + "/ws-api/v3"
    client.ws_api.TIMEOUT = 0.5  # how long its reader goes on waiting after the last word
    try:
        async with BinanceSocketManager(client).user_socket() as socket, asyncio.timeout(10):
            await customer.ok("POST", "/api/v3/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
            kinds = [(await socket.recv())["e"] for _ in range(3)]
        assert kinds == ["executionReport", "executionReport", "outboundAccountPosition"]
    finally:
        await client.close_connection()
