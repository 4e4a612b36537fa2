"""Binance's own client, unchanged but for the base URL: its pydantic models are strict, so parsing is the assertion."""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from binance_common.errors import BadRequestError
from binance_sdk_derivatives_trading_usds_futures.rest_api import models

from services.paper_exchange.tests.clients import an_sdk, fields_amiss
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "BTCUSDT"

# Sent only where there is something to say: trailing orders, option-like fields of the Algo Service, adjusted accounts,
# the rows of a batch that failed (or did not), what a filter of another kind has.
SOMETIMES = {
    *("activate_price", "callback_rate", "price_rate", "iceberg_quantity", "notional_coef", "settle_plan", "account"),
    *("tp_price", "tp_trigger_price", "tp_order_type", "sl_price", "sl_trigger_price"),
    *("actual_price", "actual_qty", "actual_type", "code", "msg"),
    *("limit", "max_price", "max_qty", "min_price", "min_qty", "multiplier_decimal", "multiplier_down"),
    *("multiplier_up", "notional", "step_size", "tick_size"),
    # no longer sent since 2026-06-30, still in its models
    *("avg_price", "cum_quote"),
}
# Seen on the live exchange, not yet in its models; and the symbols that its models do not name.
NEWER = {
    *("futuresType", "maxMoveOrderLimit", "permissionSets", "positionControlSide", "lastUpdateId", "isActivated"),
    *("breakEvenPrice", "isolatedMargin", "isolatedWallet", "notional", "dualSidePosition"),
    *("BNBUSDT", "DOGEUSDT", "SOLUSDT", "XRPUSDT"),
}


class Strictly:
    """The SDK's REST API; every answer that is read must have every field of its model, and no other."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = getattr(self.api, name)(*args, **kwargs)
            return SimpleNamespace(data=lambda: self._read(name, answer.data()))

        return call

    @staticmethod
    def _read(name: str, model: Any) -> Any:
        absent, unknown = fields_amiss(model)
        assert (name, absent - SOMETIMES, unknown - NEWER) == (name, set(), set())
        return model


async def played(exchange: Running, customer: Customer, tune: Callable[[Any], Any]) -> Any:
    """The SDK blocks, so it plays in a thread."""
    return await asyncio.to_thread(tune, Strictly(an_sdk(exchange, customer).rest_api))


def refused(call: Callable[[], object]) -> int | None:
    with pytest.raises(BadRequestError) as refusal:
        call()
    return refusal.value.status_code


async def test_market_data(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        api.test_connectivity().data()
        assert abs(api.check_server_time().data().server_time - time.time() * 1000) < 5000
        (symbol,) = [row for row in api.exchange_information().data().symbols if row.symbol == BTC]
        market_lot = next(row for row in symbol.filters if row.filter_type == "MARKET_LOT_SIZE")
        assert (symbol.status, market_lot.max_qty) == ("TRADING", "120")
        assert api.mark_price(BTC).data().actual_instance.mark_price == "95234.50000000"
        assert len(api.mark_price().data().actual_instance) == 6
        assert api.symbol_price_ticker(BTC).data().actual_instance.price == "95234.50"
        assert api.symbol_price_ticker_v2(BTC).data().actual_instance.price == "95234.50"
        assert api.symbol_order_book_ticker(BTC).data().actual_instance.ask_price == "95234.50"
        assert api.order_book(BTC).data().bids[0][0] == "95234.50"
        assert api.ticker24hr_price_change_statistics(BTC).data().actual_instance.last_price == "95234.50"

    await played(exchange, customer, tune)


async def test_account_and_settings(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        assert api.change_initial_leverage(BTC, 25).data().max_notional_value == "70000000"
        assert refused(lambda: api.change_initial_leverage(BTC, 126)) == -4028
        assert api.change_margin_type(BTC, "ISOLATED").data().code == 200
        assert refused(lambda: api.change_margin_type(BTC, "ISOLATED")) == -4046
        (config,) = api.symbol_configuration(BTC).data()
        assert (config.margin_type, config.leverage) == ("ISOLATED", 25)
        assert api.change_position_mode("true").data().code == 200
        assert api.get_current_position_mode().data().dual_side_position is True
        api.change_position_mode("false").data()
        assert api.get_current_multi_assets_mode().data().multi_assets_margin is False
        assert api.futures_account_configuration().data().can_trade is True
        (bracket,) = [row for row in api.notional_and_leverage_brackets().data().actual_instance if row.symbol == BTC]
        assert (bracket.brackets[0].initial_leverage, bracket.brackets[0].notional_cap) == (125, 300_000)
        assert api.user_commission_rate(BTC).data().taker_commission_rate == "0.0004"
        assert len(api.query_user_rate_limit().data()) == 2
        assert api.futures_account_balance_v2().data()[0].asset == "USDT"
        assert Decimal(api.futures_account_balance_v3().data()[0].available_balance) == 10_000
        assert len(api.account_information_v2().data().positions) == 6
        assert api.account_information_v3().data().total_wallet_balance == "10000.00000000"
        assert api.get_bnb_burn_status().data().fee_burn is False
        api.futures_trading_quantitative_rules_indicators().data()

    await played(exchange, customer, tune)


async def test_orders(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        entry = api.new_order(
            BTC, "BUY", "MARKET", quantity=0.01, new_client_order_id="e1", new_order_resp_type="RESULT"
        ).data()
        assert (entry.status, entry.executed_qty) == ("FILLED", "0.010")
        assert api.query_order(BTC, orig_client_order_id="e1").data().avg_price == "95234.50000"
        (trade,) = api.account_trade_list(BTC, order_id=entry.order_id).data()
        assert (trade.qty, trade.price) == ("0.010", "95234.50")
        assert [row.income_type for row in api.get_income_history().data()] == ["COMMISSION"]
        assert api.position_information_v2(BTC).data()[0].leverage == "20"
        assert api.position_information_v3(BTC).data()[0].position_amt == "0.01"
        limit = api.new_order(BTC, "BUY", "LIMIT", quantity=0.01, price=94000.0, time_in_force="GTC").data()
        assert api.query_current_open_order(BTC, order_id=limit.order_id).data().status == "NEW"
        assert [row.order_id for row in api.current_all_open_orders(BTC).data()] == [limit.order_id]
        assert api.cancel_order(BTC, order_id=limit.order_id).data().status == "CANCELED"
        assert refused(lambda: api.cancel_order(BTC, order_id=limit.order_id)) == -2011
        assert api.cancel_all_open_orders(BTC).data().code == 200
        assert refused(lambda: api.modify_isolated_position_margin(BTC, 10.0, 1)) == -4049
        assert [row.status for row in api.all_orders(BTC).data()] == ["FILLED", "CANCELED"]
        wish = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "price": 94000.0, "timeInForce": "GTC"}
        row = models.PlaceMultipleOrdersBatchOrdersParameterInner
        rows = [row.model_validate(wish | {"quantity": quantity}) for quantity in (0.01, 0.0)]
        placed, failed = api.api.place_multiple_orders(rows).data()
        assert (placed.status, failed.code) == ("NEW", -4003)
        canceled, unknown = api.api.cancel_multiple_orders(BTC, order_id_list=[placed.order_id, 1]).data()
        assert (canceled.status, unknown.code) == ("CANCELED", -2011)
        api.test_order(BTC, "BUY", "MARKET", quantity=0.01).data()
        assert refused(lambda: api.new_order(BTC, "BUY", "MARKET", quantity=100.0)) == -2019
        assert len(api.all_orders(BTC).data()) == 3

    await played(exchange, customer, tune)


async def test_conditional_orders(exchange: Running, customer: Customer) -> None:
    def tune(api: Any) -> None:
        api.new_order(BTC, "SELL", "MARKET", quantity=0.01)
        close = {"close_position": "true", "working_type": "MARK_PRICE", "price_protect": "true"}
        stop = api.new_algo_order(
            "CONDITIONAL", BTC, "BUY", "STOP_MARKET", trigger_price=97000.0, client_algo_id="s1", **close
        ).data()
        api.new_algo_order(
            "CONDITIONAL", BTC, "BUY", "TAKE_PROFIT_MARKET", trigger_price=90000.0, quantity=0.01, reduce_only="true"
        ).data()
        assert api.query_algo_order(algo_id=stop.algo_id).data().client_algo_id == "s1"
        assert api.query_algo_order(client_algo_id="s1").data().algo_id == stop.algo_id
        assert {row.order_type for row in api.current_all_algo_open_orders(symbol=BTC).data()} == {
            "STOP_MARKET",
            "TAKE_PROFIT_MARKET",
        }
        assert api.cancel_algo_order(client_algo_id="s1").data().code == "200"
        assert api.cancel_all_algo_open_orders(BTC).data().code == 200
        assert {row.algo_status for row in api.query_all_algo_orders(BTC).data()} == {"CANCELED"}
        assert refused(lambda: api.cancel_algo_order(algo_id=stop.algo_id)) == -2011

    await played(exchange, customer, tune)


async def test_a_liquidation_is_listed_as_a_force_order(exchange: Running) -> None:
    customer = await exchange.customer(balance_usdt="60")
    await customer.market("BUY", "0.010")
    await exchange.move("BTCUSDT", "88000")
    (row,) = (await played(exchange, customer, lambda api: api.users_force_orders(BTC))).data()
    assert row.client_order_id.startswith("autoclose-")
    assert (row.status, row.executed_qty, row.side) == ("FILLED", "0.010", "SELL")


async def test_the_user_stream_parses_and_comes_in_order(exchange: Running, customer: Customer) -> None:
    sdk = an_sdk(exchange, customer)
    started = await asyncio.to_thread(lambda: sdk.rest_api.start_user_data_stream().data())
    kept = await asyncio.to_thread(lambda: sdk.rest_api.keepalive_user_data_stream().data())
    assert kept.listen_key == started.listen_key
    connection = await sdk.websocket_streams.create_connection()
    events: asyncio.Queue[Any] = asyncio.Queue()
    stream = await connection.user_data(started.listen_key)
    stream.on("message", lambda event: events.put_nowait(event.actual_instance))
    await asyncio.sleep(0.2)
    await customer.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=10)
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    await exchange.move(BTC, "92900")
    await asyncio.to_thread(lambda: sdk.rest_api.close_user_data_stream())
    kinds: list[str] = []
    async with asyncio.timeout(5):
        while "ListenKeyExpired" not in kinds:
            kinds.append(type(await events.get()).__name__)
    await connection.close_connection(close_session=True)
    fill = ["TradeLite", "OrderTradeUpdate", "AccountUpdate", "OrderTradeUpdate"]
    algo = ["AlgoUpdate"] * 3
    assert kinds == ["AccountConfigUpdate", *fill, *algo, *fill, "AlgoUpdate", "ListenKeyExpired"]
