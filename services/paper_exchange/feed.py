"""Price feeds: a seeded random walk, a script, a CSV replay. Pure but for reading the named file.

`standing` (nothing moves), `walk:seed=7,step_ms=500,volatility_pct=0.05`, `script:prices.json`, `csv:prices.csv`.
The same feed always plays the same steps: a walk's dice are thrown from its seed, for each symbol apart.
"""

import csv
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

from services.paper_exchange.futures.symbols import SYMBOLS

STANDING = "standing"
STEP_MS_MIN = 10  # faster would leave no time to serve anybody
DICE = 1_000_000
COLUMNS = ["time_ms", "symbol", "price"]
WALK_DEFAULTS = {"seed": "1", "step_ms": "1000", "volatility_pct": "0.05", "symbols": "+".join(SYMBOLS)}


@dataclass(frozen=True, slots=True)
class Step:
    """So long after the step before, a symbol's price becomes `price`, or changes by `change_pct` percent."""

    after_ms: int
    symbol: str
    price: Decimal | None = None
    change_pct: Decimal = Decimal(0)

    def price_from(self, now: Decimal) -> Decimal:
        """The new price: a whole tick within what the symbol may cost, where the step tells a change only."""
        if self.price is not None:
            return self.price
        symbol = SYMBOLS[self.symbol]
        ticks = (now * (1 + self.change_pct / 100) / symbol.tick).to_integral_value(ROUND_HALF_EVEN)
        return min(max(ticks * symbol.tick, symbol.min_price), symbol.max_price)


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed under the name it was asked for; `steps` begins it anew."""

    name: str
    steps: Callable[[], Iterator[Step]]


def read_feed(text: str) -> Feed | None:
    """Read what PAPER_PRICES says; None where prices stand. ValueError says what is wrong."""
    kind, _, rest = text.strip().partition(":")
    source, *options = rest.split(",")
    match kind:
        case "standing":
            return None
        case "walk":
            return walk(_options(rest.split(",") if rest else []), text)
        case "script":
            rows = json.loads(_file(source), parse_float=Decimal)
            return script(rows, text, **_loop(options))
        case "csv":
            return script(_csv_rows(_file(source).splitlines()), text, **_loop(options))
    raise ValueError("must begin with standing, walk:, script: or csv:")


def walk(wishes: dict[str, Any], name: str = "walk") -> Feed:
    """Every `step_ms` each symbol moves by up to `volatility_pct` percent, up and down alike."""
    unknown = sorted(set(wishes) - set(WALK_DEFAULTS))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]}")
    wanted = {option: str(wishes.get(option, default)) for option, default in WALK_DEFAULTS.items()}
    symbols = wanted["symbols"].split("+")
    step_ms, volatility = int(wanted["step_ms"]), _decimal(wanted["volatility_pct"], "volatility_pct")
    if step_ms < STEP_MS_MIN:
        raise ValueError(f"step_ms must be {STEP_MS_MIN} or more")
    if not 0 < volatility < 100:
        raise ValueError("volatility_pct must be between 0 and 100")
    for symbol in symbols:
        _check_symbol(symbol)

    def steps() -> Iterator[Step]:
        dice = [random.Random(f"{wanted['seed']}:{symbol}") for symbol in symbols]  # noqa: S311 - a walk, not a secret
        while True:
            for number, (symbol, die) in enumerate(zip(symbols, dice, strict=True)):
                change = volatility * die.randint(-DICE, DICE) / DICE
                yield Step(0 if number else step_ms, symbol, change_pct=change)

    return Feed(name, steps)


def script(rows: Iterable[Any], name: str = "script", *, loop: bool = False) -> Feed:
    """Rows of {"after_ms"?, "symbol", "price" or "change_pct"}, played once or over and over."""
    read = [_step(row) for row in rows]
    if loop and sum(step.after_ms for step in read) < STEP_MS_MIN:
        raise ValueError(f"a loop must last {STEP_MS_MIN} ms or more")
    return Feed(name, lambda: cycle(read) if loop else iter(read))


def _step(row: Any) -> Step:
    if not isinstance(row, dict) or set(row) - {"after_ms", "symbol", "price", "change_pct"}:
        raise ValueError("a step has after_ms, symbol, and price or change_pct")
    after_ms, symbol = row.get("after_ms", 0), str(row.get("symbol"))
    if not isinstance(after_ms, int) or after_ms < 0:
        raise ValueError("after_ms must be a whole number, 0 or more")
    _check_symbol(symbol)
    if ("price" in row) == ("change_pct" in row):
        raise ValueError("a step has either price or change_pct")
    step = Step(after_ms, symbol)
    if "price" not in row:
        return replace(step, change_pct=_decimal(row["change_pct"], "change_pct"))
    price = _decimal(row["price"], "price")
    if price <= 0:
        raise ValueError("price must be greater than 0")
    return replace(step, price=price)


def _csv_rows(lines: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file with the columns time_ms, symbol, price, in the order of time; the first is due at once."""
    reader = csv.DictReader(lines)
    if reader.fieldnames != COLUMNS:
        raise ValueError(f"the first line must be {','.join(COLUMNS)}")
    before = None
    for row in reader:
        now = int(row["time_ms"])
        yield {"after_ms": now - (now if before is None else before), "symbol": row["symbol"], "price": row["price"]}
        before = now


def _options(pairs: list[str]) -> dict[str, str]:
    if not all("=" in pair for pair in pairs):
        raise ValueError("options are written name=value, with commas between")
    return {name.strip(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)}


def _loop(options: list[str]) -> dict[str, bool]:
    read = _options(options)
    if set(read) - {"loop"} or read.get("loop", "true") not in ("true", "false"):
        raise ValueError("the only option of a file is loop=true")
    return {"loop": read.get("loop") == "true"}


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _check_symbol(symbol: str) -> None:
    if symbol not in SYMBOLS:
        raise ValueError(f"there is no symbol {symbol}")


def _decimal(value: object, name: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError(f"{name} must be a decimal number")
    return number
