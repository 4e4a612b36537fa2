"""Answers that say success and cannot be read: what was asked for is found out, and nothing stays naked for it."""

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import web

from services.executor.tests.conftest import House, Paper
from services.executor.tests.test_executor_faults import assert_protected_or_flat, entries

UNREADABLE = {"empty": "", "cut off": '{"orderId": 12', "a web page": "<html></html>", "null": "null", "other": "{}"}


class Wire(Paper):
    """The paper exchange behind a wire that garbles answers; requests arrive as they are."""

    behind = ""
    where, body, times = ("", ""), "", 0
    gone: tuple[str, ...] = ()

    def garble(self, method: str, path: str, body: str, times: int = 1) -> None:
        self.where, self.body, self.times = (method, path), body, times

    async def carry(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        data = await request.read()
        if request.path in self.gone:
            said = f'{{"code": -5000, "msg": "Path {request.path}, Method {request.method} is invalid"}}'
            return web.Response(text=said, status=404, content_type="application/json")
        async with aiohttp.request(request.method, self.behind + request.path_qs, data=data, headers=headers) as answer:
            body, status = await answer.text(), answer.status
        if self.times and (request.method, request.path) == self.where:
            self.times -= 1
            body = self.body
        return web.Response(text=body, status=status, content_type="application/json")


@pytest.fixture
async def paper(paper: Paper) -> AsyncIterator[Wire]:
    wire, app = Wire(paper.url, paper.session), web.Application()
    wire.behind = paper.url
    app.router.add_route("*", "/{path:.*}", wire.carry)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield wire
    await runner.cleanup()


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("path", ["/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/leverage"])
async def test_an_answer_that_cannot_be_read_is_asked_about(house: House, paper: Wire, path: str, body: str) -> None:
    customer = await house.customer()
    paper.garble("POST", path, body)
    done = await house.trade("buy", customer)
    assert (done.status, done.executed_quantity) == ("success", Decimal("0.010"))
    assert await entries(house, customer) == 1
    await assert_protected_or_flat(house, customer)


async def test_a_fill_whose_price_cannot_be_read_is_protected_all_the_same(house: House, paper: Wire) -> None:
    customer = await house.customer()
    paper.garble("GET", "/fapi/v1/order", "", times=1_000)
    done = await house.trade("buy", customer)
    assert (done.status, done.executed_price) == ("success", None)
    await assert_protected_or_flat(house, customer)


async def test_endpoints_that_binance_withdraws_are_done_without(house: House, paper: Wire) -> None:
    paper.gone = ("/fapi/v2/positionRisk", "/fapi/v1/leverageBracket")
    customer = await house.customer()
    for action in ("buy", "sell"):
        done = await house.trade(action, customer, leverage=20)
        assert (done.status, done.executed_quantity) == ("success", Decimal("0.021"))
        await assert_protected_or_flat(house, customer)
