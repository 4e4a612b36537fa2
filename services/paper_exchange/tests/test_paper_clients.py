"""ccxt and python-binance, unchanged but for the base URL. Binance's own SDK: test_paper_sdk."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt
import ccxt.pro
import pytest

from services.paper_exchange.tests.clients import (
    AsyncClient,
    BinanceAPIException,
    BinanceSocketManager,
    a_ccxt,
    a_config,
    a_python_binance,
)
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTC/USDT:USDT"


@pytest.fixture
async def ccxt_client(exchange: Running, customer: Customer) -> AsyncIterator[Any]:
    async with a_ccxt(exchange, customer) as client:
        yield client


async def test_ccxt_reads_the_markets(ccxt_client: Any) -> None:
    market = ccxt_client.market(BTC)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert market["limits"]["cost"]["min"] == 50
    assert len(ccxt_client.symbols) == 6
    assert (await ccxt_client.fetch_ticker(BTC))["last"] == 95234.5
    assert (await ccxt_client.fetch_order_book(BTC))["asks"][0] == [95234.5, 120]
    assert (await ccxt_client.fetch_funding_rate(BTC))["fundingRate"] == 0


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


async def test_ccxt_reads_brackets_leverages_and_the_conditional_book(ccxt_client: Any) -> None:
    tiers = (await ccxt_client.fetch_leverage_tiers([BTC]))[BTC]
    assert [tier["maxLeverage"] for tier in tiers[:3]] == [125, 100, 75]
    assert (tiers[0]["maxNotional"], tiers[0]["maintenanceMarginRate"]) == (300_000, 0.004)
    with pytest.raises(ccxt.ExchangeError, match="-4028"):
        await ccxt_client.set_leverage(125, "SOL/USDT:USDT")
    await ccxt_client.set_leverage(25, BTC)
    (leverage,) = (await ccxt_client.fetch_leverages([BTC])).values()
    assert (leverage["longLeverage"], leverage["marginMode"]) == (25, "cross")
    await ccxt_client.set_margin_mode("isolated", BTC)
    assert (await ccxt_client.fetch_margin_mode(BTC))["marginMode"] == "isolated"
    assert (await ccxt_client.fetch_position_mode(BTC))["hedged"] is False
    algo = await ccxt_client.create_order(
        BTC, "market", "sell", 0.01, None, {"stopLossPrice": "90000", "reduceOnly": True, "clientAlgoId": "s1"}
    )
    queried = await ccxt_client.fetch_order(algo["id"], BTC, {"trigger": True})
    assert (queried["status"], queried["triggerPrice"]) == ("open", 90000)
    assert (await ccxt_client.cancel_order(algo["id"], BTC, {"trigger": True}))["id"] == algo["id"]
    listed = await ccxt_client.fetch_orders(BTC, params={"trigger": True})
    assert [(order["id"], order["status"]) for order in listed] == [(algo["id"], "canceled")]


async def test_ccxt_follows_the_stream(exchange: Running, customer: Customer) -> None:
    config = a_config(exchange, customer)
    config["urls"]["api"]["ws"] = {"linear": exchange.url.replace("http", "ws") + "/ws"}
    client = ccxt.pro.binanceusdm(config)
    try:
        await client.load_markets()
        watched = asyncio.create_task(client.watch_orders(BTC))
        while not exchange.gate.hub.sockets:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await customer.market("BUY", "0.010")
        async with asyncio.timeout(5):
            orders = await watched
            while orders[-1]["status"] != "closed":
                orders = await client.watch_orders(BTC)
        assert (orders[-1]["filled"], orders[-1]["average"]) == (0.01, 95234.5)
    finally:
        await client.close()


async def test_python_binance_plays_the_whole_tune(exchange: Running, customer: Customer) -> None:
    def play() -> str:
        with a_python_binance(exchange, customer) as client:
            client.futures_change_leverage(symbol="BTCUSDT", leverage=5)
            client.futures_change_margin_type(symbol="BTCUSDT", marginType="ISOLATED")
            assert client.futures_leverage_bracket(symbol="BTCUSDT")["brackets"][0]["initialLeverage"] == 125
            client.futures_change_position_mode(dualSidePosition="true")
            assert client.futures_get_position_mode() == {"dualSidePosition": True}
            client.futures_change_position_mode(dualSidePosition="false")
            entry = client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010", newOrderRespType="RESULT"
            )
            assert entry["status"] == "FILLED"
            queried = client.futures_get_order(symbol="BTCUSDT", orderId=entry["orderId"])
            assert queried["avgPrice"] == "95234.50000"
            stop = client.futures_create_order(
                symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice="93000", closePosition="true"
            )
            assert client.futures_get_algo_order(algoId=stop["algoId"])["algoStatus"] == "NEW"
            target = client.futures_create_algo_order(
                symbol="BTCUSDT", side="SELL", type="TAKE_PROFIT_MARKET", triggerPrice="99000", closePosition="true"
            )
            assert len(client.futures_get_open_algo_orders(symbol="BTCUSDT")) == 2
            assert client.futures_cancel_algo_order(algoId=target["algoId"])["code"] == "200"
            listed = client.futures_get_all_algo_orders(symbol="BTCUSDT")
            assert [row["algoStatus"] for row in listed] == ["CANCELED", "NEW"]
            limit = client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="LIMIT", quantity="0.010", price="94000", timeInForce="GTC"
            )
            assert client.futures_cancel_order(symbol="BTCUSDT", orderId=limit["orderId"])["status"] == "CANCELED"
            with pytest.raises(BinanceAPIException) as refusal:
                client.futures_cancel_order(symbol="BTCUSDT", orderId=limit["orderId"])
            assert refusal.value.code == -2011
            (position,) = client.futures_position_information(symbol="BTCUSDT")
            assert (position["positionAmt"], position["isolatedWallet"]) == ("0.01", "190.469")
            assert len(client.futures_account_balance()) == 1
            assert len(client.futures_exchange_info()["symbols"]) == 6
            key: str = client.futures_stream_get_listen_key()
            client.futures_stream_keepalive(key)
            return key

    key = await asyncio.to_thread(play)
    async with exchange.session.ws_connect(f"{exchange.url}/private/ws?listenKey={key}") as socket:
        await exchange.move("BTCUSDT", "92000")
        async with asyncio.timeout(5):
            kinds = [json.loads((await socket.receive()).data)["e"] for _ in range(7)]
    assert kinds.count("ALGO_UPDATE") == 3


async def test_python_binance_follows_the_stream(exchange: Running, customer: Customer) -> None:
    client = AsyncClient(customer.api_key, customer.api_secret)
    client.FUTURES_URL = exchange.url + "/fapi"
    manager = BinanceSocketManager(client)
    manager.FSTREAM_URL = exchange.url.replace("http", "ws") + "/"
    try:
        async with manager.futures_user_socket() as socket, asyncio.timeout(5):
            socket.TIMEOUT = 0.2  # how long its reader goes on waiting after the last word
            while not exchange.gate.hub.sockets:
                await asyncio.sleep(0.02)
            await customer.market("BUY", "0.010")
            kinds = [(await socket.recv())["e"] for _ in range(4)]
        assert kinds == ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    finally:
        await client.close_connection()
