"""Thin books: how the next market orders of a symbol fill, where that is not at once and wholly. Pure.

A book is a script for one order: a list of fills, each a share of the order and how much worse than the price it is.
What no fill covers, or what lies beyond the market take bound, expires.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Fill:
    """A share of the order, in percent, at a price that is `worse_pct` percent worse than the market's."""

    share_pct: Decimal
    worse_pct: Decimal


@dataclass(slots=True)
class Book:
    """One line of the script. None in `market`, `side`, `api_key` matches anything; `times` None means for ever."""

    symbol: str
    fills: tuple[Fill, ...]
    market: str | None = None
    side: str | None = None
    api_key: str | None = None
    times: int | None = 1

    def is_for(self, market: str, symbol: str, side: str, api_key: str) -> bool:
        """Whether an order meets this book."""
        return (
            self.symbol == symbol
            and self.market in (None, market)
            and self.side in (None, side)
            and self.api_key in (None, api_key)
        )

    def trades(
        self, quantity: Decimal, price: Decimal, side: str, step: Decimal, tick: Decimal
    ) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of each trade; quantities are whole steps, prices whole ticks, rounded to the worse."""
        share = taken = Decimal(0)
        for fill in self.fills:
            share += fill.share_pct
            upto = quantity if share >= HUNDRED else (quantity * share / HUNDRED) // step * step
            worse = price * fill.worse_pct / HUNDRED
            at = price + worse if side == "BUY" else price - worse
            ticks = (at / tick).to_integral_value(ROUND_CEILING if side == "BUY" else ROUND_FLOOR)
            if upto > taken:
                yield (ticks * tick if fill.worse_pct else price), upto - taken
            taken = upto


class Books:
    """Books in the order they were given; the first that is for an order is used up by it."""

    def __init__(self) -> None:
        self.books: list[Book] = []

    def find(self, market: str, symbol: str, side: str, api_key: str) -> Book | None:
        """The book that an order would meet; None where it fills at once and wholly."""
        return next((book for book in self.books if book.is_for(market, symbol, side, api_key)), None)

    def use(self, book: Book) -> None:
        """Count a book down."""
        if book.times is not None:
            book.times -= 1
            if book.times == 0:
                self.books.remove(book)


def read_book(symbol: str, document: dict[str, Any]) -> Book:
    """Read the JSON of PUT /paper/books/{symbol}; ValueError names what is wrong. `times` <= 0 or null: for ever."""
    unknown = sorted(set(document) - {"fills", "market", "side", "api_key", "times"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]}")
    rows = document.get("fills")
    fills = tuple(_read_fill(row) for row in rows) if isinstance(rows, list) else None
    if fills is None:
        raise ValueError("fills must be a list")
    if sum(fill.share_pct for fill in fills) > HUNDRED:
        raise ValueError("the shares must not add up to more than 100")
    for name, allowed in (("market", (None, "futures", "spot")), ("side", (None, "BUY", "SELL"))):
        if document.get(name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(str(word) for word in allowed[1:])}")
    times = document.get("times", 1)
    if times is not None and (not isinstance(times, int) or isinstance(times, bool)):
        raise ValueError("times must be a whole number")
    return Book(
        symbol=symbol,
        fills=fills,
        market=document.get("market"),
        side=document.get("side"),
        api_key=document.get("api_key"),
        times=times if times and times > 0 else None,
    )


def _read_fill(row: Any) -> Fill:
    if not isinstance(row, dict) or set(row) - {"share_pct", "worse_pct"} or "share_pct" not in row:
        raise ValueError("a fill has share_pct and, perhaps, worse_pct")
    numbers = []
    for name in ("share_pct", "worse_pct"):
        try:
            number = Decimal(str(row.get(name, 0)))
        except ArithmeticError:
            raise ValueError(f"{name} must be a decimal number") from None
        if not number.is_finite() or not 0 <= number <= HUNDRED:
            raise ValueError(f"{name} must be between 0 and 100")
        numbers.append(number)
    return Fill(*numbers)
