from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.money import Amount, ceil_to, floor_to, loads, plain

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=18)
POSITIVE = st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**20, places=18)
STEPS = st.sampled_from(
    [Decimal(text) for text in ("1", "0.1", "0.01", "0.00001", "0.00000001", "0.5", "0.25", "3", "1E+2")]
)


class Priced(BaseModel):
    price: Amount


@given(AMOUNTS)
def test_plain_text_is_the_same_amount_without_exponent_or_idle_zeros(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "e" not in text.lower()
    assert text in {"0", text.strip()}
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1E-5", "0.00001"), ("95234.50", "95234.5"), ("1E+2", "100"), ("100", "100"), ("-0.0", "0"), ("0E+3", "0")],
)
def test_plain_text_by_example(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(POSITIVE, STEPS)
def test_floor_is_the_last_multiple_that_is_not_above(amount: Decimal, step: Decimal) -> None:
    floor = floor_to(amount, step)
    assert floor % step == 0 if floor / step < 10**27 else True
    with localcontext(prec=100):
        assert floor <= amount < floor + step


@given(POSITIVE, STEPS)
def test_ceil_is_the_first_multiple_that_is_not_below(amount: Decimal, step: Decimal) -> None:
    ceil = ceil_to(amount, step)
    with localcontext(prec=100):
        assert ceil - step < amount <= ceil
        assert ceil - floor_to(amount, step) in (0, step)


def test_rounding_is_exact_where_a_division_would_have_rounded_up() -> None:
    almost = Decimal("0.99999999999999999999999999999999")
    assert floor_to(almost, Decimal(1)) == 0
    assert ceil_to(Decimal("1.00000000000000000000000000000001"), Decimal(1)) == 2


@given(AMOUNTS)
def test_an_amount_comes_back_from_json_as_it_went(amount: Decimal) -> None:
    assert Priced.model_validate_json(Priced(price=amount).model_dump_json()).price == amount


@pytest.mark.parametrize("given_", ["95234.50", 95234, Decimal("95234.5")])
def test_an_amount_is_a_string_or_a_number_in_and_a_string_out(given_: object) -> None:
    dumped = Priced.model_validate({"price": given_}).model_dump(mode="json")
    assert dumped["price"].startswith("95234")


@pytest.mark.parametrize(
    "bad", [0.1, "NaN", "Infinity", Decimal("-Infinity"), "abc", None, [], "1e31", "1e999999999", "1e-31"]
)
def test_what_is_no_decimal_or_out_of_reach_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        Priced.model_validate({"price": bad})


def test_whole_surrogate_pairs_and_written_escapes_are_fine() -> None:
    assert loads(r'"\ud83d\ude00 \\ud800"') == "\U0001f600 \\ud800"


def test_json_fractions_are_read_exactly() -> None:
    assert loads(b'{"price": 95234.50, "n": 3}') == {"price": Decimal("95234.50"), "n": 3}
    assert str(loads("0.1")) == "0.1"


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        "-Infinity",
        "{",
        "",
        "[" * 100_000,
        "1" * 5_000,
        r'{"a": "\u0000"}',
        r'{"\ud800": 1}',
        r'["\uDFFF"]',
        b'"\xed\xa0\x80"',
        b"\xff",
    ],
    ids=repr,
)
def test_what_no_json_reader_and_no_database_would_take_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
