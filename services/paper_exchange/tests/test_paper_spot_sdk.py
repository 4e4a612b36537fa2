"""Binance's own spot client, unchanged but for the base URL: its models are strict, and must know every field."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from binance_common.errors import BadRequestError

from services.paper_exchange.tests.clients import a_spot_sdk, fields_amiss
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTCUSDT"


# "Conditional fields in Order Responses": sent only where there is something to say.
CONDITIONAL = {
    "allocation_id", "expiry_reason", "iceberg_qty", "match_type", "peg_offset_type", "peg_offset_value",
    "peg_price_type", "pegged_price", "prevented_match_id", "prevented_quantity", "stop_price", "strategy_id",
    "strategy_type", "trailing_delta", "trailing_time", "used_sor", "working_floor",
}  # fmt: skip


SBE_ONLY = ("count", "multiplier_exponent", "price_exponent", "qty_exponent")


async def played(exchange: Running, customer: Customer, tune: Callable[[Any], None]) -> None:
    """The SDK blocks, so it plays in a thread."""
    await asyncio.to_thread(tune, a_spot_sdk(exchange, customer).rest_api)


def read(answer: Any, *missing: str) -> Any:
    """The answer's model; no field of it is unknown to Binance, and none is `missing` but those named."""
    model = answer.data()
    absent, unknown = fields_amiss(model)
    assert absent - CONDITIONAL == set(missing)
    # Its model of one answer lacks a field that the documentation of the same answer shows.
    assert unknown <= {"selfTradePreventionMode"}
    return model


def refused(call: Callable[[], object]) -> tuple[int | None, str]:
    with pytest.raises(BadRequestError) as refusal:
        call()
    return refusal.value.status_code, str(refusal.value)


async def test_market_data(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        api.ping().data()
        assert abs(read(api.time()).server_time - time.time() * 1000) < 5000
        info = read(api.exchange_info(), "sors", *SBE_ONLY)
        (symbol,) = [row for row in info.symbols if row.symbol == BTC]
        assert (symbol.status, symbol.oco_allowed, symbol.permission_sets) == ("TRADING", True, [["SPOT"]])
        assert len(symbol.filters) == 8
        assert [row.symbol for row in api.exchange_info(symbol="ETHUSDT").data().symbols] == ["ETHUSDT"]
        assert len(api.exchange_info(symbols=[BTC, "ETHUSDT"]).data().symbols) == 2
        assert read(api.ticker_price(BTC)).actual_instance.price == "95234.50000000"
        assert len(api.ticker_price().data().actual_instance) == 6
        assert read(api.ticker_book_ticker(BTC)).actual_instance.ask_price == "95234.50000000"
        assert read(api.avg_price(BTC)).price == "95234.50000000"
        assert refused(lambda: api.ticker_price("NOPE")) == (-1121, "(-1121, 'Invalid symbol.')")

    await played(exchange, customer, tune)


async def test_account(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        account = read(api.get_account())
        assert (account.can_trade, account.account_type, len(account.balances)) == (True, "SPOT", 7)
        (usdt,) = api.get_account(omit_zero_balances=True).data().balances
        assert (usdt.asset, usdt.free, usdt.locked) == ("USDT", "10000.00000000", "0.00000000")
        assert read(api.account_commission(BTC)).standard_commission.taker == "0.00100000"
        assert [(row.interval, row.limit, row.count) for row in read(api.rate_limit_order())] == [
            ("SECOND", 100, 0), ("DAY", 200_000, 0),
        ]  # fmt: skip

    await played(exchange, customer, tune)


async def test_market_orders_by_quote_and_by_quantity(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        bought = read(api.new_order(BTC, "BUY", "MARKET", quote_order_qty=1000.0, new_client_order_id="e1"))
        assert (bought.status, bought.executed_qty, bought.orig_quote_order_qty) == (
            "FILLED", "0.01050000", "1000.00000000",
        )  # fmt: skip
        (fill,) = bought.fills
        assert (fill.price, fill.commission, fill.commission_asset) == ("95234.50000000", "0.00001050", "BTC")
        asked = read(api.get_order(BTC, orig_client_order_id="e1"))
        assert (asked.cummulative_quote_qty, asked.is_working) == ("999.96225000", True)
        sold = api.new_order(BTC, "SELL", "MARKET", quantity=0.01, new_order_resp_type="RESULT").data()
        assert (sold.status, sold.fills) == ("FILLED", None)
        ack = api.new_order(BTC, "SELL", "MARKET", quantity=0.00048, new_order_resp_type="ACK").data()
        assert (ack.status, ack.order_id) == (None, sold.order_id + 2)
        trades = read(api.my_trades(BTC))
        assert [(row.is_buyer, row.commission_asset) for row in trades] == [
            (True, "BTC"), (False, "USDT"), (False, "USDT"),
        ]  # fmt: skip
        assert [row.id for row in api.my_trades(BTC, order_id=sold.order_id).data()] == [trades[1].id]
        assert [row.id for row in api.my_trades(BTC, from_id=trades[1].id, limit=1).data()] == [trades[1].id]
        assert read(api.order_test(BTC, "BUY", "MARKET", quantity=0.01, compute_commission_rates=True)) is not None
        poor = refused(lambda: api.new_order(BTC, "BUY", "MARKET", quantity=1.0))
        assert poor == (-2010, "(-2010, 'Account has insufficient balance for requested action.')")

    await played(exchange, customer, tune)


async def test_resting_orders(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        limit = api.new_order(BTC, "BUY", "LIMIT", time_in_force="GTC", quantity=0.01, price=94000.0).data()
        assert [row.order_id for row in read(api.get_open_orders(BTC))] == [limit.order_id]
        canceled = read(api.delete_order(BTC, order_id=limit.order_id))
        assert (canceled.status, canceled.orig_client_order_id) == ("CANCELED", limit.client_order_id)
        assert refused(lambda: api.delete_order(BTC, order_id=limit.order_id)) == (
            -2011,
            "(-2011, 'Unknown order sent.')",
        )
        assert refused(lambda: api.delete_open_orders(BTC)) == (-2011, "(-2011, 'Unknown order sent.')")
        api.new_order(BTC, "BUY", "LIMIT_MAKER", quantity=0.01, price=94000.0).data()
        api.new_order(BTC, "BUY", "TAKE_PROFIT", quantity=0.01, stop_price=93000.0).data()
        assert len(api.delete_open_orders(BTC).data()) == 2
        assert [row.status for row in read(api.all_orders(BTC))] == ["CANCELED"] * 3

    await played(exchange, customer, tune)


async def test_order_lists(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        api.new_order(BTC, "BUY", "MARKET", quantity=0.01).data()
        oco = read(
            api.order_list_oco(
                BTC, "SELL", 0.00999, "TAKE_PROFIT", "STOP_LOSS", list_client_order_id="o1",
                above_stop_price=99000.0, below_stop_price=93000.0,
            )
        )  # fmt: skip
        assert (oco.contingency_type, oco.list_status_type) == ("OCO", "EXEC_STARTED")
        assert [row.type for row in oco.order_reports] == ["STOP_LOSS", "TAKE_PROFIT"]
        assert read(api.get_order_list(orig_client_order_id="o1")).order_list_id == oco.order_list_id
        assert len(read(api.open_order_list())) == 1
        canceled = read(api.delete_order_list(BTC, list_client_order_id="o1"))
        assert (canceled.list_order_status, canceled.order_reports[0].status) == ("ALL_DONE", "CANCELED")
        old = read(api.order_oco(BTC, "SELL", 0.00999, 99000.0, 93000.0))
        assert [row.type for row in old.order_reports] == ["STOP_LOSS", "LIMIT_MAKER"]
        assert len(api.delete_open_orders(BTC).data()) == 1  # one list of two orders
        assert len(read(api.all_order_list())) == 2
        assert refused(lambda: api.get_order_list(order_list_id=1)) == (-2013, "(-2013, 'Order list does not exist.')")

    await played(exchange, customer, tune)


# The SDK hands aiohttp a timeout in a form that aiohttp has deprecated.
@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")
async def test_the_user_stream_parses(exchange: Running, customer: Customer) -> None:
    connection = await a_spot_sdk(exchange, customer).websocket_api.create_connection()
    events: asyncio.Queue[Any] = asyncio.Queue()
    try:
        subscribed = await connection.user_data_stream_subscribe_signature()
        subscribed.stream.on("message", lambda event: events.put_nowait(event.actual_instance))
        await customer.ok("POST", "/api/v3/order", symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        oco = {"aboveType": "TAKE_PROFIT", "aboveStopPrice": "99000", "belowType": "STOP_LOSS"}
        oco |= {"symbol": BTC, "side": "SELL", "quantity": "0.00999", "belowStopPrice": "93000"}
        await customer.ok("POST", "/api/v3/orderList/oco", **oco)
        async with asyncio.timeout(5):
            rows = [await events.get() for _ in range(7)]
    finally:
        await connection.close_connection(close_session=True)
    assert [type(row).__name__ for row in rows] == [
        "ExecutionReport", "ExecutionReport", "OutboundAccountPosition",
        "ExecutionReport", "ExecutionReport", "ListStatus", "OutboundAccountPosition",
    ]  # fmt: skip
    assert Decimal(rows[1].l) == Decimal("0.01")


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")
async def test_orders_over_the_websocket_api(exchange: Running, customer: Customer) -> None:
    connection = await a_spot_sdk(exchange, customer).websocket_api.create_connection()
    try:
        bought = (await connection.order_place(BTC, "BUY", "MARKET", quantity=0.01)).data()
        assert (bought.status, bought.result.status) == (200, "FILLED")
        oco = await connection.order_list_place_oco(
            BTC, "SELL", 0.00999, "LIMIT_MAKER", "STOP_LOSS", above_price=99000.0, below_stop_price=93000.0
        )
        list_id = oco.data().result.order_list_id
        asked = (await connection.order_list_status(order_list_id=list_id)).data()
        assert asked.result.list_order_status == "EXECUTING"
        canceled = (await connection.order_list_cancel(BTC, order_list_id=list_id)).data()
        assert {row.status for row in canceled.result.order_reports} == {"CANCELED"}
        account = (await connection.account_status(omit_zero_balances=True)).data()
        assert [row.asset for row in account.result.balances] == ["USDT", "BTC"]
        assert (await connection.session_status()).data().result.user_data_stream is False
    finally:
        await connection.close_connection(close_session=True)
