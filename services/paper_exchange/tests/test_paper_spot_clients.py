"""Real clients on the spot market, unchanged but for the base URL: ccxt, binance-sdk-spot, python-binance."""

from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt
import pytest

from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTC/USDT"


@pytest.fixture
async def ccxt_client(exchange: Running, customer: Customer) -> AsyncIterator[Any]:
    api, sapi = exchange.url + "/api/v3", exchange.url + "/sapi/v1"
    client = ccxt.binance(
        {
            "apiKey": customer.api_key,
            "secret": customer.api_secret,
            "enableRateLimit": False,
            "urls": {"api": {"public": api, "private": api, "sapi": sapi}},
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
        }
    )
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
    oco = {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.00999", "aboveType": "LIMIT_MAKER", "abovePrice": "99000",
        "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "93000", "belowPrice": "92500", "belowTimeInForce": "GTC",
    }  # fmt: skip
    placed = await ccxt_client.privatePostOrderListOco(oco)
    assert len(await ccxt_client.fetch_open_orders(BTC)) == 2
    canceled = await ccxt_client.cancel_order(placed["orderReports"][0]["orderId"], BTC)
    assert canceled["info"]["listOrderStatus"] == "ALL_DONE"
    assert await ccxt_client.fetch_open_orders(BTC) == []
    again = await ccxt_client.privatePostOrderListOco(oco)
    await ccxt_client.privateDeleteOrderList({"symbol": "BTCUSDT", "orderListId": again["orderListId"]})
    with pytest.raises(ccxt.OrderNotFound):
        await ccxt_client.privateDeleteOrderList({"symbol": "BTCUSDT", "orderListId": again["orderListId"]})
    assert (await ccxt_client.sapiGetAccountApiRestrictions())["enableSpotAndMarginTrading"] is True
