"""Every error code that Binance documents for what we call, injected, as each of the clients sees it."""

import asyncio
from typing import Any

import ccxt.async_support as ccxt
import pytest
from binance_common.errors import Error as SDKError

from services.paper_exchange.errors import MESSAGES, STATUSES
from services.paper_exchange.tests.clients import BinanceAPIException, a_ccxt, a_python_binance, an_sdk
from services.paper_exchange.tests.exchange_client import Customer, Running

# developers.binance.com, USDⓈ-M Futures, "Error Code", as far as an order, a setting or a query of ours can meet them
CODES = [
    *(-1000, -1001, -1002, -1003, -1006, -1007, -1008, -1010, -1013, -1015, -1016, -1020, -1021, -1022, -1099),
    *(-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1111, -1114, -1115, -1116, -1117, -1121, -1122, -1125),
    *(-1128, -1130, -1136, -2010, -2011, -2013, -2014, -2015, -2017, -2018, -2019, -2020, -2021, -2022, -2023),
    *(-2024, -2025, -2026, -2027, -2028, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4015, -4016),
    *(-4023, -4024, -4028, -4045, -4046, -4047, -4048, -4050, -4051, -4059, -4060, -4061, -4062, -4067, -4068),
    *(-4087, -4088, -4105, -4106, -4107, -4109, -4116, -4117, -4118, -4120, -4130, -4131, -4136, -4137, -4138),
    *(-4140, -4141, -4142, -4161, -4164, -4167, -4168, -4169, -4170, -4171, -4172, -4183, -4184, -4189, -4192),
    *(-4202, -4203, -4204, -4205, -4206, -4207, -4208, -4209, -4210, -4211, -4400, -4401, -4402, -4403, -4509),
    *(-4531, -5021, -5022, -5027, -5028, -5029, -5041, -5043, -5047),
]
USUAL = {-1000: 500, -1001: 503, -1002: 401, -1003: 429, -1006: 500, -1007: 408, -1008: 503, -1015: 429, -1016: 503}
USUAL |= {-2014: 401, -2015: 401}
ENDPOINTS = [("POST", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder"), ("POST", "/fapi/v1/leverage")]
ENDPOINTS += [("GET", "/fapi/v1/order"), ("GET", "/fapi/v1/openAlgoOrders"), ("GET", "/fapi/v3/positionRisk")]
ENDPOINTS += [("DELETE", "/fapi/v1/algoOrder"), ("DELETE", "/fapi/v1/order"), ("GET", "/fapi/v1/premiumIndex")]
ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


def test_no_code_is_without_its_sentence() -> None:
    assert set(CODES) <= set(MESSAGES)


async def test_a_code_can_be_met_at_every_endpoint(exchange: Running, customer: Customer) -> None:
    for number, code in enumerate(CODES):
        method, path = ENDPOINTS[number % len(ENDPOINTS)]
        await exchange.control("POST", "/paper/faults", {"kind": "error", "code": code, "match": {"path": path}})
        status, answer = await customer.call(method, path)
        assert (status, answer["code"]) == (USUAL.get(code, 400), code)
        assert answer["msg"] == MESSAGES[code].replace("{}", "?")
    assert {code: status for code, status in STATUSES.items() if code in CODES} == USUAL


async def test_every_client_sees_every_code_and_its_sentence(exchange: Running, customer: Customer) -> None:
    order = {"code": 0, "kind": "error", "times": 0, "match": {"path": "/fapi/v1/order"}}
    async with a_ccxt(exchange, customer) as through_ccxt:
        for code in CODES:
            await exchange.control("POST", "/paper/faults", order | {"code": code})
            sentence = (await customer.call("POST", "/fapi/v1/order", **ORDER))[1]["msg"]
            with pytest.raises(ccxt.BaseError) as met:
                await through_ccxt.create_order("BTC/USDT:USDT", "market", "buy", 0.01)
            assert f'"code":{code}' in str(met.value)
            assert sentence in str(met.value)
            assert await asyncio.to_thread(_python_binance_meets, exchange, customer) == (code, sentence)
            await _sdk_meets(exchange, customer, code, sentence)
            await exchange.control("DELETE", "/paper/faults")
    assert (await customer.book())["orders"] == []


def _python_binance_meets(exchange: Running, customer: Customer) -> tuple[int, str]:
    with a_python_binance(exchange, customer) as client, pytest.raises(BinanceAPIException) as met:
        client.futures_create_order(**ORDER)
    return met.value.code, met.value.message


async def _sdk_meets(exchange: Running, customer: Customer, code: int, sentence: str) -> None:
    """It hands on code and sentence of 4XX answers; of a 5XX it tells the HTTP status alone."""
    api = an_sdk(exchange, customer).rest_api
    with pytest.raises(SDKError) as met:
        await asyncio.to_thread(api.new_order, "BTCUSDT", "BUY", "MARKET", quantity=0.01)
    status, seen = USUAL.get(code, 400), vars(met.value)
    if status == 408:
        assert seen["error_message"] == sentence
    elif status >= 500:
        assert seen["status_code"] == status
    else:
        assert (seen["status_code"], seen["error_message"]) == (code, sentence)
