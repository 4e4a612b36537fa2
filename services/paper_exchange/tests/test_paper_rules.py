"""Filters against a second, slower telling of them."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures.rules import check_price, check_quantity, plain, read_order
from services.paper_exchange.futures.symbols import SYMBOLS

BTC = SYMBOLS["BTCUSDT"]
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
NUMBERS = st.decimals(min_value="0", max_value="10000000", places=4, allow_nan=False)


def refusal_of(check: Callable[[], object]) -> int | None:
    try:
        check()
    except Refused as refusal:
        return refusal.code
    return None


def code_of(**changes: str) -> int:
    params = {name: value for name, value in (ORDER | changes).items() if value}
    with pytest.raises(Refused) as refusal:
        read_order(params, hedge_mode=False, new_id=1, now_ms=0)
    return refusal.value.code


@given(st.sampled_from(sorted(SYMBOLS)), NUMBERS)
@example("BTCUSDT", Decimal(120))
@example("BTCUSDT", Decimal("0.001"))
@example("BTCUSDT", Decimal("120.001"))
def test_a_quantity_passes_exactly_when_it_is_a_multiple_of_the_step(name: str, quantity: Decimal) -> None:
    symbol = SYMBOLS[name]
    good = symbol.step <= quantity <= symbol.market_max_qty and quantity / symbol.step % 1 == 0
    code = refusal_of(lambda: check_quantity(symbol, quantity, symbol.market_max_qty))
    assert code in ((None,) if good else (-4003, -4004, -4005, -4023, -1111))


@given(st.sampled_from(sorted(SYMBOLS)), NUMBERS)
@example("BTCUSDT", Decimal("556.80"))
@example("BTCUSDT", Decimal("556.7"))
@example("BTCUSDT", Decimal("4529764.0"))
def test_a_price_passes_exactly_when_it_lies_on_a_tick_within_bounds(name: str, price: Decimal) -> None:
    symbol = SYMBOLS[name]
    good = symbol.min_price <= price <= symbol.max_price and (price - symbol.min_price) / symbol.tick % 1 == 0
    code = refusal_of(lambda: check_price(symbol, price))
    assert code in ((None,) if good else (-4013, -4002, -4014, -1111))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"side": "HOLD"}, -1117),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "TRAILING_STOP_MARKET"}, -4120),
        ({"type": "ICEBERG"}, -1116),
        ({"quantity": ""}, -1102),
        ({"quantity": "1e-05"}, -1100),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "0.0015"}, -1111),
        ({"quantity": "120.001"}, -4005),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -4060),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "ä"}, -4015),
        ({"type": "LIMIT", "price": "95000"}, -1102),
        ({"type": "LIMIT", "price": "95000.05", "timeInForce": "GTC"}, -4014),
        ({"type": "LIMIT", "price": "95000.001", "timeInForce": "GTC"}, -1111),
        ({"type": "LIMIT", "price": "1", "timeInForce": "GTC"}, -4013),
        ({"type": "LIMIT", "price": "5000000", "timeInForce": "GTC"}, -4002),
        ({"type": "LIMIT", "price": "95000", "timeInForce": "DAY"}, -1115),
    ],
)
def test_each_malformed_order_gets_binances_own_code(changes: dict[str, str], code: int) -> None:
    assert code_of(**changes) == code


def test_hedge_mode_wants_a_side_and_no_reduce_only() -> None:
    for changes, code in (({}, -4061), ({"positionSide": "LONG", "reduceOnly": "false"}, -1106)):
        with pytest.raises(Refused) as refusal:
            read_order(ORDER | changes, hedge_mode=True, new_id=1, now_ms=0)
        assert refusal.value.code == code


@given(st.decimals(min_value="-1000000", max_value="1000000", places=8))
def test_plain_numbers_keep_their_value_and_have_no_exponent(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert "E" not in plain(number)


def test_brackets_are_continuous() -> None:
    for symbol in SYMBOLS.values():
        for lower, upper in zip(symbol.brackets, symbol.brackets[1:], strict=False):
            assert lower.cap * lower.ratio - lower.cum == lower.cap * upper.ratio - upper.cum
    assert BTC.max_notional(125) == 300_000
    assert BTC.max_notional(1) == 1_800_000_000
