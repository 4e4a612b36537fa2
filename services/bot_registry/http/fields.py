"""The kinds of values that bodies and queries hold, each with its limits, and pages of answers."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints
from sqlalchemy import RowMapping

from shared.money import Amount
from shared.web.routes import Request

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
]
Text = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^[^\x00]*$")]
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$"
    ),
]
WebhookPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_Bounded = Annotated[Amount, Field(max_digits=18, decimal_places=8)]
Usd = Annotated[_Bounded, Field(ge=0)]
UsdAboveZero = Annotated[_Bounded, Field(gt=0)]
StopLossPct = Annotated[_Bounded, Field(ge=0, lt=100)]
TakeProfitPct = Annotated[_Bounded, Field(ge=0)]
Leverage = Annotated[int, Field(ge=1, le=125)]

absent: Any = Field(default_factory=lambda: None)
"""The default of a field that a PATCH may leave out but, given, must hold a value: null is refused."""


def _printable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be as the exchange shows it: letters and digits, no spaces")
    return SecretStr(text)


ExchangeKey = Annotated[SecretStr, Field(max_length=256), AfterValidator(_printable)]


class PageQuery(Request):
    """Which part of a list: up to `limit` items older than `cursor`."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: UUID | None = None


ItemT = TypeVar("ItemT", bound=BaseModel)


class Page(BaseModel, Generic[ItemT]):
    """A part of a list, newest first. `next_cursor` leads to the next, null at the end."""

    items: list[ItemT]
    next_cursor: UUID | None


def cut(rows: Sequence[RowMapping], limit: int) -> tuple[Sequence[RowMapping], UUID | None]:
    """The rows of one page and the cursor of the next, from a page and one row more."""
    return (rows[:limit], rows[limit - 1]["id"]) if len(rows) > limit else (rows, None)
