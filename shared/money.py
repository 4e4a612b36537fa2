"""Decimal amounts: how they come in, how they go out, how they are rounded. Floats never touch them."""

import json
import math
import re
from decimal import Context, Decimal
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_MAGNITUDE_MAX = 30  # powers of ten; far beyond any price, and "1e999999999" written out would fill the memory

_SUSPECT = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)
_EXACT = Context(prec=100)  # more digits than two amounts in reach can have together


def plain(value: Decimal) -> str:
    """Text of an amount without an exponent and without trailing zeros: `0.00001`, `95234.5`, `100`."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _no_float(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("must be a decimal; parse JSON with shared.money.loads")  # noqa: TRY004 - pydantic reads it
    return value


def _in_reach(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MAGNITUDE_MAX or value.adjusted() > _MAGNITUDE_MAX:
        raise ValueError(f"must be below 1e{_MAGNITUDE_MAX} with at most {_MAGNITUDE_MAX} decimal places")
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    AfterValidator(_in_reach),
    PlainSerializer(plain, return_type=str, when_used="json"),
]
"""A pydantic field: accepted as JSON number or string, returned as a plain decimal string."""


def loads(text: bytes | str) -> Any:
    """Parse JSON with every fractional number as a Decimal.

    Raises ValueError, also for what Python would take but no database or JSON writer: NaN, Infinity, zero bytes,
    half a surrogate pair, and a depth beyond Python's own.
    """
    if isinstance(text, bytes):
        text = text.decode()  # json's own decoding lets half surrogates pass
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _SUSPECT.search(text):
        _refuse_unwritable(value)
    return value


def _refuse_unwritable(value: Any) -> None:
    try:
        written = orjson.dumps(value, default=str)
    except TypeError as error:
        raise ValueError("text with half a surrogate pair") from error
    if b"\\u0000" in written:
        raise ValueError("text with a zero byte")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def common_step(*steps: Decimal) -> Decimal:
    """The smallest step whose multiples are multiples of every step given; 0 means that one sets none."""
    ratios = [step.as_integer_ratio() for step in steps if step]
    scale = math.lcm(*(denominator for _, denominator in ratios))
    return Decimal(math.lcm(*(numerator * scale // denominator for numerator, denominator in ratios))) / scale


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value` (both positive)."""
    return _EXACT.subtract(value, _EXACT.remainder(value, step))


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value` (both positive)."""
    floor = floor_to(value, step)
    return floor if floor == value else _EXACT.add(floor, step)
