"""Thin books: market orders that fill in part, in several trades, or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paper_exchange.books import Book, Fill, read_book
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC = "/paper/books/BTCUSDT"
HALF = [{"share_pct": "50"}]
percents = st.integers(0, 100).map(Decimal)


async def test_the_next_market_order_fills_in_part_and_the_rest_expires(exchange: Running, customer: Customer) -> None:
    await exchange.control("PUT", BTC, {"fills": HALF})
    placed = await customer.market("BUY", "0.010")
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.005")
    queried = await customer.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert (queried["status"], queried["executedQty"], queried["avgPrice"]) == ("EXPIRED", "0.005", "95234.50000")
    assert (await customer.book())["positions"][0]["positionAmt"] == "0.005"
    assert (await customer.market("BUY", "0.010"))["status"] == "FILLED"


async def test_one_order_fills_in_several_trades_at_several_prices(exchange: Running, customer: Customer) -> None:
    fills = [{"share_pct": "40"}, {"share_pct": "40", "worse_pct": "0.1"}, {"share_pct": 20, "worse_pct": 0.2}]
    await exchange.control("PUT", BTC, {"fills": fills})
    placed = await customer.market("BUY", "0.010")
    assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.010")
    trades = await customer.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", orderId=placed["orderId"])
    assert [(t["qty"], t["price"]) for t in trades] == [
        ("0.004", "95234.50"),
        ("0.004", "95329.80"),
        ("0.002", "95425.00"),
    ]
    assert len({trade["id"] for trade in trades}) == 3
    queried = await customer.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert Decimal(queried["avgPrice"]) == Decimal("95310.72")


async def test_an_empty_book_lets_the_order_expire_unfilled(exchange: Running, customer: Customer) -> None:
    await exchange.control("PUT", BTC, {"fills": []})
    placed = await customer.market("BUY", "0.010")
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0")
    assert (await customer.book())["positions"] == []


async def test_a_best_price_beyond_the_take_bound_refuses_and_a_later_one_expires_the_rest(
    exchange: Running, customer: Customer
) -> None:
    await exchange.control("PUT", BTC, {"fills": [{"share_pct": "100", "worse_pct": "5.1"}]})
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert await customer.refused("POST", "/fapi/v1/order", **order) == -4131
    await exchange.control("PUT", BTC, {"fills": [*HALF, {"share_pct": "50", "worse_pct": "5.1"}]})
    assert (await customer.market("BUY", "0.010"))["executedQty"] == "0.005"


async def test_a_triggered_stop_meets_the_thin_book_too(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "93000", "s1")
    await exchange.control("PUT", BTC, {"fills": HALF, "side": "SELL"})
    await exchange.move("BTCUSDT", "92900")
    algo = await customer.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="s1")
    assert (algo["algoStatus"], algo["actualQty"]) == ("FINISHED", "0.005")
    assert (await customer.book())["positions"][0]["positionAmt"] == "0.005"


async def test_a_book_is_for_one_side_one_key_and_so_many_orders(exchange: Running, customer: Customer) -> None:
    other = await exchange.customer()
    await exchange.control("PUT", BTC, {"fills": [], "side": "BUY", "api_key": customer.api_key, "times": 2})
    assert (await other.market("BUY", "0.010"))["status"] == "FILLED"
    assert (await customer.market("SELL", "0.010"))["status"] == "FILLED"
    assert [(await customer.market("BUY", "0.010"))["status"] for _ in range(3)] == ["EXPIRED", "EXPIRED", "FILLED"]
    await exchange.control("PUT", BTC, {"fills": [], "times": None})
    await exchange.control("DELETE", "/paper/books")
    assert (await customer.market("BUY", "0.010"))["status"] == "FILLED"


@given(st.lists(st.tuples(percents, percents), max_size=5), st.integers(1, 10_000), st.sampled_from(["BUY", "SELL"]))
def test_trades_are_whole_steps_never_more_than_the_order_and_never_better_than_the_price(
    rows: list[tuple[Decimal, Decimal]], steps: int, side: str
) -> None:
    step, tick, price = Decimal("0.001"), Decimal("0.10"), Decimal("95234.50")
    quantity = steps * step
    trades = list(Book("BTCUSDT", tuple(Fill(*row) for row in rows)).trades(quantity, price, side, step, tick))
    assert all(traded > 0 and traded % step == 0 and at % tick == 0 for at, traded in trades)
    assert sum(traded for _, traded in trades) <= quantity
    assert (sum(share for share, _ in rows) >= 100) <= (sum(traded for _, traded in trades) == quantity)
    assert all(at >= price if side == "BUY" else at <= price for at, _ in trades)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"fills": 1},
        {"fills": [{"worse_pct": "1"}]},
        {"fills": [{"share_pct": "101"}]},
        {"fills": [{"share_pct": "NaN"}]},
        {"fills": [{"share_pct": "60"}, {"share_pct": "60"}]},
        {"fills": [], "side": "UP"},
        {"fills": [], "wrong": 1},
        {"fills": [], "times": "2"},
    ],
)
def test_a_book_that_makes_no_sense_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"fill|share|side|field|times"):
        read_book("BTCUSDT", document)
