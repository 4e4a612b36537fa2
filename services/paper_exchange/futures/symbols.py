"""The symbols that can be traded: filters, leverage brackets, starting prices. Pure.

Source: GET /fapi/v1/exchangeInfo and GET /fapi/v1/leverageBracket of the live exchange (BTCUSDT: 2026-09-30).
"""

from dataclasses import dataclass
from decimal import Decimal

CONDITIONAL_TYPES = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]
TRADING = "TRADING"
STATUSES = (TRADING, "PENDING_TRADING", "PRE_SETTLE", "SETTLING", "CLOSE")
OPEN_ORDERS_MAX = 200
OPEN_ALGOS_MAX = 200
LEVERAGE_DEFAULT = 20
TAKER_FEE, MAKER_FEE = Decimal("0.0004"), Decimal("0.0002")
MARKET_TAKE_BOUND = Decimal("0.05")  # a market order fills no further from the mark price than this share of it
MARGIN_ASSET = "USDT"


@dataclass(frozen=True, slots=True)
class Bracket:
    """Up to `cap` of notional (USDT) at most `leverage`; maintenance = notional * ratio - cum."""

    number: int
    leverage: int
    floor: Decimal
    cap: Decimal
    ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Symbol:
    """One perpetual contract. Prices in USDT per base, quantities in base, `min_notional` in USDT."""

    name: str
    base: str
    start_price: Decimal
    price_precision: int
    quantity_precision: int
    tick: Decimal
    min_price: Decimal
    max_price: Decimal
    step: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    up: Decimal
    down: Decimal
    brackets: tuple[Bracket, ...]

    def max_notional(self, leverage: int) -> Decimal:
        """The largest position, in USDT, that this leverage may hold."""
        return max((b.cap for b in self.brackets if b.leverage >= leverage), default=Decimal(0))

    def maintenance(self, notional: Decimal) -> Decimal:
        """Maintenance margin, in USDT, of a position of this (absolute) notional."""
        bracket = next((b for b in self.brackets if notional <= b.cap), self.brackets[-1])
        return notional * bracket.ratio - bracket.cum


def _brackets(rows: list[tuple[int, int, str]]) -> tuple[Bracket, ...]:
    """Build brackets from (leverage, cap, ratio); `cum` keeps the maintenance margin continuous between them."""
    built: list[Bracket] = []
    floor, ratio_before, cum = Decimal(0), Decimal(0), Decimal(0)
    for number, (leverage, cap, ratio) in enumerate(rows, 1):
        cum += floor * (Decimal(ratio) - ratio_before)
        built.append(Bracket(number, leverage, floor, Decimal(cap), Decimal(ratio), cum))
        floor, ratio_before = Decimal(cap), Decimal(ratio)
    return tuple(built)


_LARGE = _brackets(
    [
        (125, 300_000, "0.004"),
        (100, 800_000, "0.005"),
        (75, 3_000_000, "0.0065"),
        (50, 12_000_000, "0.01"),
        (25, 70_000_000, "0.02"),
        (20, 100_000_000, "0.025"),
        (10, 230_000_000, "0.05"),
        (5, 480_000_000, "0.1"),
        (2, 1_200_000_000, "0.25"),
        (1, 1_800_000_000, "0.5"),
    ]
)
_MEDIUM = _brackets(
    [
        (75, 50_000, "0.006"),
        (50, 500_000, "0.01"),
        (25, 1_000_000, "0.02"),
        (20, 5_000_000, "0.025"),
        (10, 20_000_000, "0.05"),
        (5, 40_000_000, "0.1"),
        (2, 80_000_000, "0.25"),
        (1, 150_000_000, "0.5"),
    ]
)


def _symbol(
    base: str, start: str, tick: str, prices: tuple[str, str], step: str, quantities: tuple[str, str], notional: str,
    band: str = "0.10", brackets: tuple[Bracket, ...] = _MEDIUM, precision: tuple[int, int] = (4, 0),
) -> Symbol:  # fmt: skip
    """One row: prices = (min, max), quantities = (limit max, market max), precision = (price, quantity)."""
    return Symbol(
        name=base + MARGIN_ASSET,
        base=base,
        start_price=Decimal(start),
        price_precision=precision[0],
        quantity_precision=precision[1],
        tick=Decimal(tick),
        min_price=Decimal(prices[0]),
        max_price=Decimal(prices[1]),
        step=Decimal(step),
        max_qty=Decimal(quantities[0]),
        market_max_qty=Decimal(quantities[1]),
        min_notional=Decimal(notional),
        up=1 + Decimal(band),
        down=1 - Decimal(band),
        brackets=brackets,
    )


_ROWS = [
    _symbol("BTC", "95234.50", "0.10", ("556.80", "4529764"), "0.001", ("1000", "120"), "50", "0.05", _LARGE, (2, 3)),
    _symbol("ETH", "3312.40", "0.01", ("39.86", "306177"), "0.001", ("10000", "2000"), "20", "0.05", _LARGE, (2, 3)),
    _symbol("SOL", "187.35", "0.01", ("0.42", "6857"), "0.01", ("1000000", "5000"), "5", precision=(4, 2)),
    _symbol("BNB", "655.20", "0.01", ("6.60", "100000"), "0.01", ("100000", "2000"), "5", precision=(3, 2)),
    _symbol("XRP", "2.2150", "0.0001", ("0.0143", "100000"), "0.1", ("10000000", "2000000"), "5", precision=(4, 1)),
    _symbol("DOGE", "0.32140", "0.00001", ("0.00244", "30"), "1", ("50000000", "30000000"), "5", precision=(6, 0)),
]
SYMBOLS: dict[str, Symbol] = {row.name: row for row in _ROWS}
