"""Real clients, unchanged but for the base URL: ccxt and python-binance."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt
import pytest

from services.paper_exchange.tests.exchange_client import Customer, Running

with warnings.catch_warnings():
    # python-binance imports names that websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance.client import Client
    from binance.exceptions import BinanceAPIException

BTC = "BTC/USDT:USDT"
PATHS = {
    "fapiPublic": "/fapi/v1", "fapiPublicV2": "/fapi/v2", "fapiPublicV3": "/fapi/v3", "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2", "fapiPrivateV3": "/fapi/v3", "sapi": "/sapi/v1",
}  # fmt: skip


@pytest.fixture
async def ccxt_client(exchange: Running, customer: Customer) -> AsyncIterator[Any]:
    client = ccxt.binanceusdm(
        {
            "apiKey": customer.api_key,
            "secret": customer.api_secret,
            "enableRateLimit": False,
            "urls": {"api": {name: exchange.url + path for name, path in PATHS.items()}},
            "options": {
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
        }
    )
    await client.load_markets()
    yield client
    await client.close()


async def test_ccxt_reads_the_markets(ccxt_client: Any) -> None:
    market = ccxt_client.market(BTC)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert market["limits"]["cost"]["min"] == 50
    assert len(ccxt_client.symbols) == 6


async def test_ccxt_plays_entry_protection_and_stop(exchange: Running, ccxt_client: Any) -> None:
    await ccxt_client.set_leverage(10, BTC)
    await ccxt_client.set_margin_mode("isolated", BTC)
    with pytest.raises(ccxt.MarginModeAlreadySet):
        await ccxt_client.set_margin_mode("isolated", BTC)
    entry = await ccxt_client.create_order(BTC, "market", "buy", 0.01, None, {"newClientOrderId": "e1"})
    assert (entry["status"], entry["filled"]) == ("closed", 0.01)
    assert (await ccxt_client.fetch_order(entry["id"], BTC))["average"] == 95234.5
    close = {"closePosition": True, "workingType": "MARK_PRICE"}
    stop = await ccxt_client.create_order(
        BTC, "market", "sell", 0.01, None, close | {"stopLossPrice": "93000", "clientAlgoId": "s1"}
    )
    await ccxt_client.create_order(
        BTC, "market", "sell", 0.01, None, close | {"takeProfitPrice": "99000", "clientAlgoId": "t1"}
    )
    opened = await ccxt_client.fetch_open_orders(BTC, params={"trigger": True})
    assert {order["clientOrderId"] for order in opened} == {"s1", "t1"}
    assert await ccxt_client.fetch_open_orders() == []
    (position,) = await ccxt_client.fetch_positions([BTC])
    assert (position["contracts"], position["side"], position["entryPrice"]) == (0.01, "long", 95234.5)
    await exchange.move("BTCUSDT", "92990")
    done = await ccxt_client.fetch_order(stop["id"], BTC, {"trigger": True})
    assert (done["status"], done["info"]["algoStatus"]) == ("closed", "FINISHED")
    assert await ccxt_client.fetch_positions([BTC]) == []
    assert len(await ccxt_client.fetch_my_trades(BTC)) == 2
    balance = await ccxt_client.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(10_000 - 22.445 - 0.380938 - 0.37196)


async def test_ccxt_rests_queries_and_cancels(ccxt_client: Any) -> None:
    resting = await ccxt_client.create_order(BTC, "limit", "buy", 0.01, 94000, {"clientOrderId": "r1"})
    assert resting["status"] == "open"
    assert [order["id"] for order in await ccxt_client.fetch_open_orders(BTC)] == [resting["id"]]
    canceled = await ccxt_client.cancel_order(resting["id"], BTC)
    assert canceled["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await ccxt_client.cancel_order(resting["id"], BTC)
    await ccxt_client.create_order(BTC, "market", "sell", 0.01)
    algo = await ccxt_client.create_order(
        BTC, "market", "buy", 0.01, None, {"stopLossPrice": "99000", "reduceOnly": True, "clientAlgoId": "s1"}
    )
    await ccxt_client.cancel_order(algo["id"], BTC, {"trigger": True})
    await ccxt_client.cancel_all_orders(BTC)
    await ccxt_client.cancel_all_orders(BTC, {"trigger": True})
    assert (await ccxt_client.sapiGetAccountApiRestrictions())["enableWithdrawals"] is False
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        await ccxt_client.create_order(BTC, "market", "sell", 0.01, None, {"reduceOnly": True})


async def test_ccxt_in_hedge_mode(ccxt_client: Any) -> None:
    await ccxt_client.set_position_mode(True)
    await ccxt_client.create_order(BTC, "market", "buy", 0.01, None, {"hedged": True})
    await ccxt_client.create_order(BTC, "market", "sell", 0.02, None, {"hedged": True})
    sides = {position["side"]: position["contracts"] for position in await ccxt_client.fetch_positions([BTC])}
    assert sides == {"long": 0.01, "short": 0.02}


async def test_python_binance_plays_the_whole_tune(exchange: Running, customer: Customer) -> None:
    def play() -> str:
        client = Client(customer.api_key, customer.api_secret, ping=False)
        client.FUTURES_URL = exchange.url + "/fapi"
        try:
            client.futures_change_leverage(symbol="BTCUSDT", leverage=5)
            entry = client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010", newOrderRespType="RESULT"
            )
            assert entry["status"] == "FILLED"
            queried = client.futures_get_order(symbol="BTCUSDT", orderId=entry["orderId"])
            assert queried["avgPrice"] == "95234.50000"
            stop = client.futures_create_order(
                symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice="93000", closePosition="true"
            )
            assert stop["algoStatus"] == "NEW"
            limit = client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="LIMIT", quantity="0.010", price="94000", timeInForce="GTC"
            )
            assert client.futures_cancel_order(symbol="BTCUSDT", orderId=limit["orderId"])["status"] == "CANCELED"
            with pytest.raises(BinanceAPIException) as refusal:
                client.futures_cancel_order(symbol="BTCUSDT", orderId=limit["orderId"])
            assert refusal.value.code == -2011
            (position,) = client.futures_position_information(symbol="BTCUSDT")
            assert position["positionAmt"] == "0.01"
            assert len(client.futures_account_balance()) == 1
            assert len(client.futures_exchange_info()["symbols"]) == 6
            key: str = client.futures_stream_get_listen_key()
            client.futures_stream_keepalive(key)
            return key
        finally:
            client.close_connection()
            client.loop.close()  # the client opens a loop of its own and leaves it open

    key = await asyncio.to_thread(play)
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        await exchange.move("BTCUSDT", "92000")
        async with asyncio.timeout(5):
            kinds = [json.loads((await socket.receive()).data)["e"] for _ in range(7)]
    assert kinds.count("ALGO_UPDATE") == 3
