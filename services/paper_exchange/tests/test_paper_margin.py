"""Isolated and crossed margin: who loses what, and when an account is liquidated."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import configure, matching, statements
from services.paper_exchange.futures.margin import headroom, liquidation_price, margins
from services.paper_exchange.futures.model import ZERO, Account, Market
from services.paper_exchange.futures.moves import AUTOCLOSE, move
from services.paper_exchange.futures.symbols import SYMBOLS
from services.paper_exchange.tests.exchange_client import Customer, Running

BTC, ETH = "BTCUSDT", "ETHUSDT"
DEPOSIT = Decimal(10_000)


def a_market(isolated: str = BTC, leverage: int = 20) -> tuple[Market, Account]:
    market = Market({name: symbol.start_price for name, symbol in SYMBOLS.items()})
    account = Account("key", DEPOSIT, 0, margin_types={isolated: "ISOLATED"}, leverages={isolated: leverage})
    market.add(account)
    return market, account


def buy(market: Market, account: Account, quantity: str, symbol: str = BTC, side: str = "BUY") -> None:
    order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": quantity}
    matching.place(market, account, order, 1)


def go(market: Market, price: str | Decimal, symbol: str = BTC) -> None:
    list(move(market, symbol, Decimal(price), 1))


def test_an_isolated_position_takes_its_margin_out_of_the_shared_wallet_and_gives_it_back() -> None:
    market, account = a_market(leverage=10)
    buy(market, account, "0.100")
    sums = margins(market, account)
    assert sums.isolated == Decimal("952.345")
    assert sums.cross_wallet == account.wallet - Decimal("952.345")
    go(market, "97000")
    assert margins(market, account).available == sums.cross_wallet  # its profit is not anybody else's margin
    buy(market, account, "0.040", side="SELL")
    assert account.position(BTC, "BOTH").isolated_wallet == Decimal("571.407")
    buy(market, account, "0.060", side="SELL")
    assert margins(market, account).isolated == 0


def test_turning_an_isolated_position_round_sets_new_margin_apart() -> None:
    market, account = a_market(leverage=10)
    buy(market, account, "0.010")
    go(market, "96000")
    buy(market, account, "0.030", side="SELL")
    assert account.position(BTC, "BOTH").isolated_wallet == Decimal(192)


def test_an_isolated_liquidation_costs_its_own_margin_and_leaves_the_crossed_position() -> None:
    market, account = a_market(leverage=50)
    buy(market, account, "1", ETH)
    buy(market, account, "0.100")
    paid = sum((income.amount for income in account.incomes), ZERO)
    go(market, "90000")
    assert account.position(BTC, "BOTH").amount == 0
    assert account.position(ETH, "BOTH").amount == 1
    assert account.wallet == DEPOSIT + paid - Decimal("190.469")
    assert [order.client_id.startswith(AUTOCLOSE) for order in account.orders.values()] == [False, False, True]


def test_a_crossed_liquidation_leaves_what_is_isolated() -> None:
    market, account = a_market(isolated=ETH)
    buy(market, account, "1", ETH)
    apart = account.position(ETH, "BOTH").isolated_wallet
    buy(market, account, "1.500")
    go(market, "88000")
    assert account.position(BTC, "BOTH").amount == 0
    assert account.position(ETH, "BOTH").amount == 1
    assert account.wallet == apart


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 125),
    st.integers(1, 60),
    st.lists(st.integers(600, 1400), min_size=1, max_size=6),
)
def test_an_isolated_position_never_costs_more_than_was_set_apart(
    side: str, leverage: int, size: int, walk: list[int]
) -> None:
    market, account = a_market(leverage=leverage)
    try:
        buy(market, account, f"{Decimal(size) / 1000:.3f}", side=side)
    except Refused:
        return
    apart = account.position(BTC, "BOTH").isolated_wallet
    untouched = account.wallet - apart
    start = SYMBOLS[BTC].start_price
    for permille in walk:
        go(market, (start * permille / 1000).quantize(Decimal("0.1")))
        assert account.wallet >= untouched
        position = account.position(BTC, "BOTH")
        assert position.amount == 0 or headroom(market, account, position) > 0


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_liquidation_price_of_an_isolated_position_is_where_it_is_liquidated(side: str) -> None:
    market, account = a_market(leverage=25)
    buy(market, account, "0.100", side=side)
    position = account.position(BTC, "BOTH")
    price = liquidation_price(market, account, position)
    short_of = Decimal(1) if side == "BUY" else Decimal(-1)
    go(market, price + short_of)
    assert position.amount != 0
    go(market, price - short_of)
    assert position.amount == 0


def test_multi_assets_mode_and_isolated_margin_exclude_each_other() -> None:
    _, account = a_market()
    with pytest.raises(Refused, match="-4167"):
        configure.set_assets_mode(account, {"multiAssetsMargin": "true"}, 1)
    configure.set_margin_type(account, {"symbol": BTC, "marginType": "CROSSED"})
    configure.set_assets_mode(account, {"multiAssetsMargin": "true"}, 1)
    with pytest.raises(Refused, match="-4171"):
        configure.set_assets_mode(account, {"multiAssetsMargin": "true"}, 1)
    with pytest.raises(Refused, match="-4168"):
        configure.set_margin_type(account, {"symbol": BTC, "marginType": "ISOLATED"})
    assert statements.account_config(account, can_withdraw=False)["multiAssetsMargin"] is True


async def test_isolated_margin_is_shown_wherever_binance_shows_it(exchange: Running, customer: Customer) -> None:
    await customer.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    await customer.market("BUY", "0.010")
    assert await customer.refused("POST", "/fapi/v1/leverage", symbol=BTC, leverage=10) == -4161
    assert await customer.refused("POST", "/fapi/v1/marginType", symbol=BTC, marginType="CROSSED") == -4048
    assert (await customer.ok("POST", "/fapi/v1/leverage", symbol=BTC, leverage=50))["maxNotionalValue"] == "12000000"
    (risk,) = await customer.ok("GET", "/fapi/v2/positionRisk", symbol=BTC)
    assert (risk["marginType"], risk["isolatedWallet"]) == ("isolated", "47.61725")
    (newer,) = await customer.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)
    assert newer["isolatedMargin"] == "47.61725"
    account = await customer.ok("GET", "/fapi/v3/account")
    assert Decimal(account["totalCrossWalletBalance"]) == Decimal(account["totalWalletBalance"]) - Decimal("47.61725")
    (config,) = await customer.ok("GET", "/fapi/v1/symbolConfig", symbol=BTC)
    assert config["marginType"] == "ISOLATED"


async def test_margin_is_added_to_an_isolated_position_and_taken_out_as_far_as_it_can_spare(
    exchange: Running, customer: Customer
) -> None:
    path = "/fapi/v1/positionMargin"
    await customer.ok("POST", "/fapi/v1/marginType", symbol=BTC, marginType="ISOLATED")
    assert await customer.refused("POST", path, symbol=BTC, amount="10", type=1) == -4054
    await customer.market("BUY", "0.010")
    (before,) = await customer.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)
    added = await customer.ok("POST", path, symbol=BTC, amount="10.5", type=1)
    assert added == {"amount": 10.5, "code": 200, "msg": "Successfully modify position margin.", "type": 1}
    (after,) = await customer.ok("GET", "/fapi/v3/positionRisk", symbol=BTC)
    assert Decimal(after["isolatedWallet"]) == Decimal(before["isolatedWallet"]) + Decimal("10.5")
    assert Decimal(after["liquidationPrice"]) < Decimal(before["liquidationPrice"])
    assert await customer.refused("POST", path, symbol=BTC, amount="10.51", type=2) == -4051
    await customer.ok("POST", path, symbol=BTC, amount="10.5", type=2)
    assert await customer.refused("POST", path, symbol=BTC, amount="10000", type=1) == -4050
    assert await customer.refused("POST", path, symbol=BTC, amount="0", type=1) == -4055
