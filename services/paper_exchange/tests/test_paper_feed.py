"""Price feeds: what they play, and that they play it again."""

import asyncio
import json
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paper_exchange.feed import Step, read_feed, script, walk
from services.paper_exchange.futures.symbols import SYMBOLS
from services.paper_exchange.settings import Settings
from services.paper_exchange.tests.exchange_client import Customer, Running, start

BTC = "BTCUSDT"
SCRIPT = [
    {"symbol": BTC, "price": "93000"},
    {"after_ms": 10, "symbol": BTC, "change_pct": "-1"},
    {"after_ms": 10, "symbol": "ETHUSDT", "price": 3000},
]


def prices(text: str, count: int) -> list[tuple[str, Decimal]]:
    """The first prices of a feed, each reckoned from the one before."""
    feed = read_feed(text)
    assert feed is not None
    now = {name: symbol.start_price for name, symbol in SYMBOLS.items()}
    played = []
    for step in islice(feed.steps(), count):
        now[step.symbol] = step.price_from(now[step.symbol])
        played.append((step.symbol, now[step.symbol]))
    return played


def test_a_walk_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert prices("walk:seed=7", 60) == prices("walk:seed=7", 60)
    assert prices("walk:seed=7", 60) != prices("walk:seed=8", 60)
    alone = prices("walk:seed=7,symbols=ETHUSDT", 10)
    assert alone == [row for row in prices("walk:seed=7", 60) if row[0] == "ETHUSDT"]
    assert prices("walk:seed=7,symbols=BTCUSDT", 3) == [
        (BTC, Decimal("95272.6")),
        (BTC, Decimal("95240.4")),
        (BTC, Decimal("95205.3")),
    ]


@given(st.integers(0, 10**6), st.sampled_from(["0.01", "0.5", "30"]))
def test_a_walk_takes_whole_ticks_within_its_volatility_and_the_symbols_bounds(seed: int, volatility: str) -> None:
    now = {name: symbol.start_price for name, symbol in SYMBOLS.items()}
    feed = walk({"seed": seed, "step_ms": 500, "volatility_pct": volatility})
    for number, step in enumerate(islice(feed.steps(), 60)):
        symbol, before = SYMBOLS[step.symbol], now[step.symbol]
        now[step.symbol] = after = step.price_from(before)
        assert step.after_ms == (0 if number % len(SYMBOLS) else 500)
        assert after % symbol.tick == 0
        assert symbol.min_price <= after <= symbol.max_price
        assert abs(after - before) <= before * Decimal(volatility) / 100 + symbol.tick


def test_a_csv_is_played_in_the_time_it_tells(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("time_ms,symbol,price\n1700000000000,BTCUSDT,90000\n1700000000250,BTCUSDT,90100.5\n")
    feed = read_feed(f"csv:{file}")
    assert feed is not None
    assert list(feed.steps()) == [Step(0, BTC, Decimal(90000)), Step(250, BTC, Decimal("90100.5"))]


def test_a_script_is_played_once_or_over_and_over(tmp_path: Path) -> None:
    file = tmp_path / "crash.json"
    file.write_text(json.dumps(SCRIPT))
    assert prices(f"script:{file}", 9) == [(BTC, 93000), (BTC, Decimal(92070)), ("ETHUSDT", Decimal(3000))]
    assert len(prices(f"script:{file},loop=true", 9)) == 9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stroll:seed=1",
        "walk:seed",
        "walk:pace=1",
        "walk:step_ms=1",
        "walk:step_ms=fast",
        "walk:volatility_pct=0",
        "walk:symbols=ABC",
        "csv:/no/such/file",
        "script:/no/such/file",
    ],
)
def test_a_feed_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_feed(text)


@pytest.mark.parametrize(
    "row",
    [
        {"symbol": BTC},
        {"symbol": "ABC", "price": "1"},
        {"symbol": BTC, "price": "0"},
        {"symbol": BTC, "price": "1", "change_pct": "1"},
        {"symbol": BTC, "price": "1", "after_ms": -1},
        {"symbol": BTC, "change_pct": "NaN"},
        "BTCUSDT 1",
    ],
)
def test_a_step_that_makes_no_sense_is_refused(row: object) -> None:
    with pytest.raises(ValueError, match=r"step|symbol|price|after_ms|change_pct"):
        script([row])


async def test_a_feed_moves_the_market_and_triggers_what_it_reaches(exchange: Running, customer: Customer) -> None:
    await customer.market("BUY", "0.010")
    await customer.place_algo("SELL", "STOP_MARKET", "92500", "s1")
    await exchange.control("POST", "/paper/feed", {"script": SCRIPT})
    async with asyncio.timeout(5):
        while (await exchange.control("GET", "/paper/feed"))["playing"]:
            await asyncio.sleep(0.02)
    assert (await exchange.control("GET", "/paper/feed"))["steps"] == 3
    assert exchange.gate.market.prices[BTC] == Decimal(92070)
    assert (await customer.ok("GET", "/fapi/v1/algoOrder", clientAlgoId="s1"))["algoStatus"] == "FINISHED"


async def test_a_feed_plays_until_it_is_stopped_and_then_prices_stand(exchange: Running) -> None:
    await exchange.control("POST", "/paper/feed", {"walk": {"seed": 3, "step_ms": 10, "symbols": BTC}})
    await asyncio.sleep(0.1)
    stopped = await exchange.control("DELETE", "/paper/feed")
    assert (stopped["feed"], stopped["playing"]) == ("standing", False)
    assert stopped["steps"] > 2
    stands_at = exchange.gate.market.prices[BTC]
    await asyncio.sleep(0.05)
    assert exchange.gate.market.prices[BTC] == stands_at != SYMBOLS[BTC].start_price


async def test_the_setting_starts_a_feed_with_the_process_and_without_it_prices_stand(exchange: Running) -> None:
    assert (await exchange.control("GET", "/paper/feed"))["feed"] == "standing"
    walking = await start(Settings(data_dir=None, paper_prices="walk:seed=7,step_ms=10,symbols=BTCUSDT"))
    try:
        await asyncio.sleep(0.1)
        assert (await walking.control("GET", "/paper/feed"))["playing"] is True
        assert walking.gate.market.prices[BTC] != SYMBOLS[BTC].start_price
    finally:
        await walking.stop()
