"""Conditional orders: their whole life."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import algo, matching
from services.paper_exchange.futures.model import Account, Algo, Json, Market
from services.paper_exchange.futures.moves import move
from services.paper_exchange.futures.symbols import SYMBOLS

BTC = "BTCUSDT"


def a_long(*, quantity: str = "0.010", hedge: bool = False) -> tuple[Market, Account]:
    market = Market({name: symbol.start_price for name, symbol in SYMBOLS.items()})
    account = Account("key", Decimal(10_000), 0, hedge_mode=hedge)
    market.add(account)
    if quantity != "0":
        params = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": quantity}
        matching.place(market, account, params | ({"positionSide": "LONG"} if hedge else {}), 1)
    account.outbox = []
    return market, account


def place(market: Market, account: Account, side: str, kind: str, trigger: str, **more: str) -> Algo:
    params = {"algoType": "CONDITIONAL", "symbol": BTC, "side": side, "type": kind, "triggerPrice": trigger}
    return algo.place(market, account, params | more, 2)


def code_of(market: Market, account: Account, side: str, kind: str, trigger: str, **more: str) -> int:
    with pytest.raises(Refused) as refusal:
        place(market, account, side, kind, trigger, **more)
    return refusal.value.code


def go(market: Market, price: str) -> None:
    list(move(market, BTC, Decimal(price), 3))


def story(account: Account) -> list[str]:
    """The events since the last call, shortened to kind and state."""
    events: list[Json] = account.outbox or []
    account.outbox = []
    return [f"{e['e']} {e['o']['X']}" if "o" in e else e["e"] for e in events]


CLOSE = {"closePosition": "true"}


def test_a_stop_runs_through_all_states_and_takes_its_target_with_it() -> None:
    market, account = a_long()
    stop = place(market, account, "SELL", "STOP_MARKET", "93000", clientAlgoId="s1", **CLOSE)
    target = place(market, account, "SELL", "TAKE_PROFIT_MARKET", "99000", clientAlgoId="t1", **CLOSE)
    assert story(account) == ["ALGO_UPDATE NEW", "ALGO_UPDATE NEW"]
    go(market, "93000")
    assert story(account) == [
        "ALGO_UPDATE TRIGGERING",
        "ALGO_UPDATE TRIGGERED",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE NEW",
        "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE FILLED",
        "ALGO_UPDATE FINISHED",
        "ALGO_UPDATE EXPIRED",
    ]
    child = account.order_by_client_id["s1"]
    assert (child.id, child.type, child.status) == (stop.order_id, "MARKET", "FILLED")
    assert (stop.status, stop.actual_quantity, target.status) == ("FINISHED", Decimal("0.010"), "EXPIRED")


@pytest.mark.parametrize(("kind", "side", "below", "above"), [
    ("STOP_MARKET", "SELL", True, False), ("STOP_MARKET", "BUY", False, True),
    ("TAKE_PROFIT_MARKET", "SELL", False, True), ("TAKE_PROFIT_MARKET", "BUY", True, False),
])  # fmt: skip
def test_each_kind_triggers_on_its_own_side_only(kind: str, side: str, below: bool, above: bool) -> None:
    for trigger, allowed in (("95000", below), ("96000", above), ("95234.5", False)):
        market, account = a_long()
        if allowed:
            assert place(market, account, side, kind, trigger, quantity="0.010").status == "NEW"
        else:
            assert code_of(market, account, side, kind, trigger, quantity="0.010") == -2021


def test_close_position_needs_a_position_and_is_one_per_kind_and_direction() -> None:
    market, account = a_long(quantity="0")
    assert code_of(market, account, "SELL", "STOP_MARKET", "93000", **CLOSE) == -4509
    market, account = a_long()
    place(market, account, "SELL", "STOP_MARKET", "93000", **CLOSE)
    assert code_of(market, account, "SELL", "STOP_MARKET", "92000", **CLOSE) == -4130
    place(market, account, "SELL", "TAKE_PROFIT_MARKET", "99000", **CLOSE)
    place(market, account, "SELL", "STOP_MARKET", "92000", quantity="0.005", reduceOnly="true")


@pytest.mark.parametrize(("more", "code"), [
    ({"closePosition": "true", "quantity": "0.01"}, -4137), ({"closePosition": "true", "reduceOnly": "true"}, -1106),
    ({}, -1102), ({"quantity": "0.01", "algoType": "VP"}, -1130), ({"quantity": "0.01", "triggerPrice": ""}, -1102),
    ({"quantity": "0.01", "triggerPrice": "93000.05"}, -4014), ({"quantity": "0.01", "triggerPrice": "-1"}, -4006),
    ({"quantity": "0.01", "workingType": "INDEX"}, -1130), ({"quantity": "0.01", "type": "LIMIT"}, -1116),
    ({"quantity": "0.01", "type": "TRAILING_STOP_MARKET"}, -1020), ({"closePosition": "true", "type": "STOP"}, -4136),
    ({"quantity": "0.01", "clientAlgoId": "x" * 40}, -4015),
])  # fmt: skip
def test_each_malformed_algo_gets_binances_own_code(more: dict[str, str], code: int) -> None:
    market, account = a_long()
    params = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "93000"}
    with pytest.raises(Refused) as refusal:
        algo.place(market, account, params | more, 2)
    assert refusal.value.code == code


def test_a_reduce_only_stop_outlives_the_position_and_is_rejected_when_it_triggers_flat() -> None:
    market, account = a_long()
    stop = place(market, account, "SELL", "STOP_MARKET", "93000", quantity="0.010", reduceOnly="true")
    params = {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.010"}
    matching.place(market, account, params, 2)
    assert stop.status == "NEW"
    story(account)
    go(market, "92000")
    assert (stop.status, stop.reject_reason, stop.order_id) == ("REJECTED", "Reduce Only reject", 0)
    assert story(account) == ["ALGO_UPDATE TRIGGERING", "ALGO_UPDATE REJECTED"]
    assert not account.position(BTC, "BOTH").amount


def test_a_reduce_only_stop_is_capped_to_the_position() -> None:
    market, account = a_long(quantity="0.004")
    stop = place(market, account, "SELL", "STOP_MARKET", "93000", quantity="0.010", reduceOnly="true")
    go(market, "92000")
    assert stop.actual_quantity == Decimal("0.004")
    assert not account.position(BTC, "BOTH").amount


def test_close_position_closes_all_even_past_resting_reduce_only_orders() -> None:
    market, account = a_long()
    rest = {"symbol": BTC, "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "reduceOnly": "true"}
    resting = matching.place(market, account, rest | {"price": "99000", "quantity": "0.010"}, 2)
    stop = place(market, account, "SELL", "STOP_MARKET", "93000", **CLOSE)
    go(market, "92000")
    assert (stop.status, resting.status) == ("FINISHED", "EXPIRED")
    assert not account.position(BTC, "BOTH").amount


def test_a_jump_past_several_triggers_runs_them_in_the_order_of_the_walk() -> None:
    for order in (("94000", "93000"), ("93000", "94000")):
        market, account = a_long()
        stops = [place(market, account, "SELL", "STOP_MARKET", at, quantity="0.006", reduceOnly="true") for at in order]
        go(market, "90000")
        by_trigger = {str(stop.trigger_price): stop for stop in stops}
        assert by_trigger["94000"].actual_quantity == Decimal("0.006")
        assert by_trigger["93000"].actual_quantity == Decimal("0.004")


def test_an_id_is_taken_while_open_and_free_afterwards() -> None:
    market, account = a_long()
    first = place(market, account, "SELL", "STOP_MARKET", "93000", clientAlgoId="s1", quantity="0.010")
    assert code_of(market, account, "SELL", "STOP_MARKET", "92000", clientAlgoId="s1", quantity="0.010") == -4116
    algo.cancel(account, {"clientAlgoId": "s1"}, 2)
    again = place(market, account, "SELL", "STOP_MARKET", "92000", clientAlgoId="s1", quantity="0.010")
    assert algo.find(account, {"clientAlgoId": "s1"}) is again
    assert first.status == "CANCELED"
    for params, code in (({"algoId": str(first.id)}, -2011), ({"algoId": "1"}, -2011), ({}, -1102)):
        with pytest.raises(Refused) as refusal:
            algo.cancel(account, params, 2)
        assert refusal.value.code == code


def test_a_turned_position_expires_close_all_orders() -> None:
    market, account = a_long()
    stop = place(market, account, "SELL", "STOP_MARKET", "93000", **CLOSE)
    matching.place(market, account, {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.030"}, 2)
    assert stop.status == "EXPIRED"


def test_the_two_sides_of_hedge_mode_are_protected_apart() -> None:
    market, account = a_long(hedge=True)
    params = {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.010", "positionSide": "SHORT"}
    matching.place(market, account, params, 2)
    long_stop = place(market, account, "SELL", "STOP_MARKET", "93000", positionSide="LONG", **CLOSE)
    short_stop = place(market, account, "BUY", "STOP_MARKET", "99000", positionSide="SHORT", **CLOSE)
    go(market, "92000")
    assert (long_stop.status, short_stop.status) == ("FINISHED", "NEW")
    assert account.position(BTC, "SHORT").amount == Decimal("-0.010")


def test_a_stop_limit_becomes_a_limit_order() -> None:
    market, account = a_long()
    stop = place(market, account, "SELL", "STOP", "93000", price="92990", quantity="0.010", clientAlgoId="sl")
    go(market, "92900")
    child = account.order_by_client_id["sl"]
    assert (child.type, child.status, stop.status) == ("LIMIT", "NEW", "TRIGGERED")
    go(market, "93000")
    assert (child.status, stop.status) == ("FILLED", "FINISHED")


def test_two_hundred_conditional_orders_are_the_most() -> None:
    market, account = a_long()
    for _ in range(200):
        place(market, account, "SELL", "STOP_MARKET", "93000", quantity="0.001", reduceOnly="true")
    assert code_of(market, account, "SELL", "STOP_MARKET", "93000", quantity="0.001", reduceOnly="true") == -4045


@given(st.integers(93_000, 95_000), st.integers(96_000, 99_000), st.integers(90_000, 102_000))
def test_stop_and_target_never_both_fill(stop_at: int, target_at: int, to: int) -> None:
    market, account = a_long()
    stop = place(market, account, "SELL", "STOP_MARKET", str(stop_at), **CLOSE)
    target = place(market, account, "SELL", "TAKE_PROFIT_MARKET", str(target_at), **CLOSE)
    go(market, str(to))
    expected = ("NEW", "NEW")
    if to <= stop_at:
        expected = ("FINISHED", "EXPIRED")
    elif to >= target_at:
        expected = ("EXPIRED", "FINISHED")
    assert (stop.status, target.status) == expected
