"""Decimal amounts: how they come in, how they go out, how they are rounded. Floats never touch them."""

import json
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer


def plain(value: Decimal) -> str:
    """Text of an amount without an exponent and without trailing zeros: `0.00001`, `95234.5`, `100`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _no_float(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("must be a decimal; parse JSON with shared.money.loads")  # noqa: TRY004 - pydantic reads it
    return value


Amount = Annotated[Decimal, BeforeValidator(_no_float), PlainSerializer(plain, return_type=str, when_used="json")]
"""A pydantic field: accepted as JSON number or string, returned as a plain decimal string."""


def loads(text: bytes | str) -> Any:
    """Parse JSON with every fractional number as a Decimal. Raises ValueError (also for NaN and Infinity)."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value` (both positive)."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value` (both positive)."""
    return (value / step).to_integral_value(ROUND_UP) * step
