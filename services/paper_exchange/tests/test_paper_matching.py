"""The engine by itself: what must hold after any sequence of orders and price moves."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.books import read_book
from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import algo, matching
from services.paper_exchange.futures.margin import liquidation_price, margins
from services.paper_exchange.futures.model import ZERO, Account, Market
from services.paper_exchange.futures.moves import move
from services.paper_exchange.futures.symbols import SYMBOLS, TAKER_FEE
from services.paper_exchange.keyring import Key
from services.paper_exchange.store import HOLDING, Holding

BTC = "BTCUSDT"
DEPOSIT = Decimal(1_000_000)


def a_market(*, hedge: bool = False, wallet: Decimal = DEPOSIT) -> tuple[Market, Account]:
    market = Market({name: symbol.start_price for name, symbol in SYMBOLS.items()})
    account = Account("key", wallet, 0, hedge_mode=hedge)
    market.add(account)
    return market, account


def order(side: str, quantity: str, **more: str) -> dict[str, str]:
    return {"symbol": BTC, "side": side, "type": "MARKET", "quantity": quantity, **more}


def limit(side: str, quantity: str, price: str, **more: str) -> dict[str, str]:
    return order(side, quantity, price=price, timeInForce="GTC", **more) | {"type": "LIMIT"}


def stop(side: str, kind: str, trigger: str, **more: str) -> dict[str, str]:
    return {"algoType": "CONDITIONAL", "symbol": BTC, "side": side, "type": kind, "triggerPrice": trigger, **more}


def go(market: Market, price: str) -> None:
    list(move(market, BTC, Decimal(price), 1))


ticks = st.integers(9_0000_0, 10_0000_0).map(lambda tenths: f"{Decimal(tenths) / 10:.1f}")
quantities = st.integers(1, 60).map(lambda n: f"{Decimal(n) / 1000:.3f}")
sides = st.sampled_from(["BUY", "SELL"])
flags = st.sampled_from(["true", "false"])
steps = st.one_of(
    st.tuples(st.just("market"), sides, quantities, flags),
    st.tuples(st.just("limit"), sides, quantities, ticks, flags),
    st.tuples(st.just("close"), sides, st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET"]), ticks),
    st.tuples(st.just("reduce"), sides, quantities, st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET"]), ticks),
    st.tuples(st.just("move"), ticks),
    st.tuples(st.just("thin"), st.sampled_from(["0", "33", "50", "100"]), st.sampled_from(["0", "0.1", "7"])),
)


def run(market: Market, account: Account, step: tuple[str, ...]) -> None:
    match step:
        case ("market", side, quantity, reduce):
            matching.place(market, account, order(side, quantity, reduceOnly=reduce), 1)
        case ("limit", side, quantity, price, reduce):
            matching.place(market, account, limit(side, quantity, price, reduceOnly=reduce), 1)
        case ("close", side, kind, trigger):
            algo.place(market, account, stop(side, kind, trigger, closePosition="true"), 1)
        case ("reduce", side, quantity, kind, trigger):
            algo.place(market, account, stop(side, kind, trigger, quantity=quantity, reduceOnly="true"), 1)
        case ("move", price):
            go(market, price)
        case ("thin", share, worse):
            fills = [{"share_pct": share, "worse_pct": worse}] * (100 // max(50, int(share)))
            market.books.books.append(read_book(BTC, {"fills": fills}))


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25))
def test_money_and_positions_add_up_after_anything(script: list[tuple[str, ...]]) -> None:
    market, account = a_market()
    for step in script:
        before = account.position(BTC, "BOTH").amount
        try:
            run(market, account, step)
        except Refused:
            assert account.position(BTC, "BOTH").amount == before
        trades = [trade for fills in account.trades.values() for trade in fills]
        signed = sum((t.quantity if t.side == "BUY" else -t.quantity for t in trades), ZERO)
        position = account.position(BTC, "BOTH")
        assert position.amount == signed
        assert (position.entry == 0) == (position.amount == 0)
        assert account.wallet == DEPOSIT + sum((income.amount for income in account.incomes), ZERO)
        assert account.wallet == DEPOSIT + sum((t.realized - t.fee for t in trades), ZERO)
        assert all(o.status == "NEW" for o in account.open_orders.values())
        assert all(a.status == "NEW" for a in account.open_algos.values())
        assert {o.id for o in account.orders.values() if o.status == "NEW"} == set(account.open_orders)
        assert {a.id for a in account.algos.values() if a.status == "NEW"} == set(account.open_algos)
        if not position.amount:
            assert not any(a.close_position for a in account.open_algos.values())
            assert not any(o.reduce_only for o in account.open_orders.values())
        price = market.prices[BTC]
        assert not any(a.is_reached(price) for a in account.open_algos.values())
        # Equity is what came in, less fees, plus what the price did to each fill: nothing is made from nothing.
        equity = DEPOSIT + sum(
            ((price - t.price) * (1 if t.side == "BUY" else -1) * t.quantity - t.fee for t in trades), ZERO
        )
        assert abs(margins(market, account).balance - equity) < Decimal("1e-6")


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=15))
def test_a_snapshot_gives_back_the_same_account(script: list[tuple[str, ...]]) -> None:
    market, account = a_market()
    for step in script:
        try:
            run(market, account, step)
        except Refused:
            continue
    again = HOLDING.validate_json(HOLDING.dump_json(Holding(Key("key", "secret", 0), account))).account
    assert again == account
    assert again.open_orders == account.open_orders
    assert again.open_algos == account.open_algos
    assert again.order_by_client_id == account.order_by_client_id


hedge_steps = st.one_of(
    st.tuples(st.just("market"), sides, quantities, st.sampled_from(["LONG", "SHORT"])),
    st.tuples(st.just("stop"), ticks, st.sampled_from(["LONG", "SHORT"])),
    st.tuples(st.just("move"), ticks),
    st.tuples(st.just("thin"), st.sampled_from(["0", "33", "50", "100"]), st.sampled_from(["0", "0.1", "7"])),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(hedge_steps, max_size=20))
def test_the_sides_of_hedge_mode_never_cross_zero(script: list[tuple[str, ...]]) -> None:
    market, account = a_market(hedge=True)
    for step in script:
        try:
            match step:
                case ("market", side, quantity, position_side):
                    matching.place(market, account, order(side, quantity, positionSide=position_side), 1)
                case ("stop", trigger, position_side):
                    side = "SELL" if position_side == "LONG" else "BUY"
                    params = stop(side, "STOP_MARKET", trigger, positionSide=position_side, closePosition="true")
                    algo.place(market, account, params, 1)
                case ("move", price):
                    go(market, price)
        except Refused:
            continue
        held = {side: account.position(BTC, side).amount for side in ("LONG", "SHORT")}
        assert held["LONG"] >= 0 >= held["SHORT"]
        assert not any(a.close_position and not held[a.position_side] for a in account.open_algos.values())


def test_a_resting_reduce_only_order_shrinks_with_its_position() -> None:
    market, account = a_market()
    matching.place(market, account, order("BUY", "0.010"), 1)
    target = matching.place(market, account, limit("SELL", "0.010", "96000.0", reduceOnly="true"), 1)
    matching.place(market, account, order("SELL", "0.006"), 1)
    go(market, "96000.0")
    assert (target.status, target.executed) == ("FILLED", Decimal("0.004"))
    assert not account.position(BTC, "BOTH").amount


def test_an_open_loss_is_not_available() -> None:
    market, account = a_market(wallet=Decimal(6000))
    matching.place(market, account, order("BUY", "1"), 1)
    assert margins(market, account).available > 1000
    go(market, "94234.5")
    assert margins(market, account).available < 300
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, order("BUY", "0.100"), 1)
    assert refusal.value.code == -2019


def test_resting_orders_hold_margin() -> None:
    market, account = a_market(wallet=Decimal(5000))
    matching.place(market, account, limit("BUY", "0.900", "95000.0"), 1)
    assert margins(market, account).order_initial == Decimal("0.900") * 95000 / 20
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, limit("BUY", "0.900", "95000.0"), 1)
    assert refusal.value.code == -2019


@given(quantities, quantities)
def test_reduce_only_never_turns_a_position_round(held: str, asked: str) -> None:
    market, account = a_market()
    matching.place(market, account, order("BUY", held), 1)
    done = matching.place(market, account, order("SELL", asked, reduceOnly="true"), 1)
    assert done.executed == min(Decimal(held), Decimal(asked))
    assert account.position(BTC, "BOTH").amount == Decimal(held) - done.executed


def test_an_order_larger_than_the_position_turns_it_round() -> None:
    market, account = a_market()
    matching.place(market, account, order("BUY", "0.010"), 1)
    go(market, "96000.0")
    matching.place(market, account, order("SELL", "0.030"), 1)
    position = account.position(BTC, "BOTH")
    assert (position.amount, position.entry) == (Decimal("-0.020"), Decimal("96000.0"))
    assert position.realized == Decimal("0.010") * (Decimal("96000.0") - Decimal("95234.50"))


@pytest.mark.parametrize(("side", "assumed", "open_loss"), [("BUY", "1.0005", "0.0005"), ("SELL", "1.0015", "0")])
def test_margin_decides_by_the_assuming_price_and_the_fee(side: str, assumed: str, open_loss: str) -> None:
    notional = Decimal("95234.50")
    needed = notional * (Decimal(assumed) / 20 + Decimal(open_loss) + TAKER_FEE)
    market, account = a_market(wallet=needed - Decimal("0.01"))
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, order(side, "1"), 1)
    assert refusal.value.code == -2019
    market, account = a_market(wallet=needed)
    assert matching.place(market, account, order(side, "1"), 1).status == "FILLED"


@settings(max_examples=80, deadline=None)
@given(sides, st.integers(1, 125), st.integers(1, 3000), st.integers(1, 20_000))
def test_an_accepted_order_leaves_its_margin_in_the_account(side: str, leverage: int, size: int, wallet: int) -> None:
    market, account = a_market(wallet=Decimal(wallet))
    account.leverages[BTC] = leverage
    try:
        matching.place(market, account, order(side, f"{Decimal(size) / 1000:.3f}"), 1)
    except Refused:
        return
    sums = margins(market, account)
    assert sums.balance >= sums.initial
    assert sums.initial * leverage <= SYMBOLS[BTC].max_notional(leverage)


def test_conditional_orders_count_against_the_open_orders_of_a_symbol() -> None:
    market, account = a_market()
    for number in range(120):
        algo.place(market, account, stop("SELL", "STOP_MARKET", f"{90000 + number}", quantity="0.001"), 1)
    for number in range(80):
        matching.place(market, account, limit("BUY", "0.001", f"{91000 + number}"), 1)
    with pytest.raises(Refused, match="-2025"):
        matching.place(market, account, limit("BUY", "0.001", "91500"), 1)
    matching.place(market, account, order("BUY", "0.001"), 1)


def test_the_bracket_limits_position_and_resting_orders_together() -> None:
    market, account = a_market()
    account.leverages[BTC] = 125
    matching.place(market, account, order("BUY", "1"), 1)
    matching.place(market, account, limit("BUY", "1.5", "95000"), 1)
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, order("BUY", "0.7"), 1)
    assert refusal.value.code == -2027
    matching.place(market, account, order("SELL", "1.2"), 1)


def test_a_reversal_may_use_the_margin_that_it_frees() -> None:
    market, account = a_market(wallet=Decimal(5000))
    matching.place(market, account, order("BUY", "1"), 1)
    assert matching.place(market, account, order("SELL", "1.9"), 1).status == "FILLED"
    with pytest.raises(Refused):
        matching.place(market, account, order("BUY", "2.9"), 1)


def test_hedge_mode_holds_both_sides_and_refuses_to_close_more_than_there_is() -> None:
    market, account = a_market(hedge=True)
    matching.place(market, account, order("BUY", "0.010", positionSide="LONG"), 1)
    matching.place(market, account, order("SELL", "0.020", positionSide="SHORT"), 1)
    assert account.position(BTC, "LONG").amount == Decimal("0.010")
    assert account.position(BTC, "SHORT").amount == Decimal("-0.020")
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, order("SELL", "0.011", positionSide="LONG"), 1)
    assert refusal.value.code == -2022


def test_a_limit_order_fills_at_its_own_price_when_the_market_gets_there() -> None:
    market, account = a_market()
    placed = matching.place(market, account, limit("BUY", "0.010", "95000.0"), 1)
    go(market, "95000.1")
    assert placed.status == "NEW"
    go(market, "94000.0")
    assert (placed.status, placed.average) == ("FILLED", Decimal("95000.0"))


@pytest.mark.parametrize(("tif", "price", "outcome"), [
    ("GTX", "96000.0", -5022), ("FOK", "95000.0", -5021), ("IOC", "95000.0", "EXPIRED"), ("GTX", "95000.0", "NEW"),
    ("FOK", "96000.0", "FILLED"), ("IOC", "96000.0", "FILLED"),
])  # fmt: skip
def test_times_in_force(tif: str, price: str, outcome: int | str) -> None:
    market, account = a_market()
    try:
        result: int | str = matching.place(
            market, account, limit("BUY", "0.010", price) | {"timeInForce": tif}, 1
        ).status
    except Refused as refusal:
        result = refusal.code
    assert result == outcome


@pytest.mark.parametrize(("side", "to"), [("BUY", "81000.0"), ("SELL", "110000.0")])
def test_liquidation_comes_exactly_at_the_price_that_was_foretold(side: str, to: str) -> None:
    market, account = a_market(wallet=Decimal(6000))
    matching.place(market, account, order(side, "1"), 1)
    foretold = liquidation_price(market, account, account.position(BTC, "BOTH"))
    inward = Decimal(1) if side == "BUY" else Decimal(-1)
    go(market, str(foretold + inward))
    assert account.position(BTC, "BOTH").amount
    go(market, str(foretold - inward))
    assert not account.position(BTC, "BOTH").amount
    assert list(account.orders.values())[-1].client_id.startswith("autoclose-")
    assert account.wallet >= 0


def test_a_loss_beyond_the_wallet_is_not_the_customers() -> None:
    market, account = a_market(wallet=Decimal(6000))
    matching.place(market, account, order("BUY", "1"), 1)
    go(market, "50000.0")
    assert account.wallet == 0
    assert account.incomes[-1].type == "INSURANCE_CLEAR"


def test_a_position_beyond_the_bracket_is_refused() -> None:
    market, account = a_market(wallet=Decimal(10) ** 9)
    account.leverages[BTC] = 125
    with pytest.raises(Refused) as refusal:
        matching.place(market, account, order("BUY", "4"), 1)
    assert refusal.value.code == -2027


def test_accounts_without_business_in_a_symbol_are_not_touched_by_its_moves() -> None:
    market, account = a_market()
    market.add(replace(account, api_key="idle"))
    matching.place(market, account, order("BUY", "0.010"), 1)
    assert [touched.api_key for touched in move(market, BTC, Decimal("95000.0"), 1)] == ["key"]
    matching.place(market, account, order("SELL", "0.010"), 1)
    list(move(market, BTC, Decimal("95001.0"), 1))
    assert list(move(market, BTC, Decimal("95002.0"), 1)) == []
