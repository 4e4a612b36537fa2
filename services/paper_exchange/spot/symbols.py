"""The spot symbols that can be traded, and their filters. Pure.

Source: GET /api/v3/exchangeInfo of the live exchange, 2026 (MARKET_LOT_SIZE maxima move every day there).
"""

from dataclasses import dataclass
from decimal import Decimal

ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
TRADING = "TRADING"
STATUSES = (TRADING, "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
TIMES_IN_FORCE = ["GTC", "IOC", "FOK"]
STP_MODES = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
STP_DEFAULT = "EXPIRE_MAKER"
FEE = Decimal("0.001")  # of what is received: base for a buy, quote for a sell; maker and taker alike
QUOTE = "USDT"
PRECISION = 8  # decimals of every asset

MAX_NUM_ORDERS = 200
MAX_NUM_ALGO_ORDERS = 5
MAX_NUM_ORDER_LISTS = 20
# PERCENT_PRICE_BY_SIDE: how far a price may lie from the average price, as (down, up) multipliers.
BID_BAND = (Decimal("0.8"), Decimal("1.1"))
ASK_BAND = (Decimal("0.9"), Decimal("1.2"))
MAX_NOTIONAL = Decimal(9_000_000)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One spot pair. Prices in USDT per base, quantities in base, `min_notional` in USDT."""

    name: str
    base: str
    tick: Decimal
    max_price: Decimal
    step: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal


def _symbol(
    base: str, tick: str, max_price: str, step: str, quantities: tuple[str, str], min_notional: str = "5"
) -> Symbol:
    """One row: quantities = (limit max, market max). The smallest price is one tick, the smallest quantity one step."""
    return Symbol(
        name=base + QUOTE,
        base=base,
        tick=Decimal(tick),
        max_price=Decimal(max_price),
        step=Decimal(step),
        max_qty=Decimal(quantities[0]),
        market_max_qty=Decimal(quantities[1]),
        min_notional=Decimal(min_notional),
    )


_ROWS = [
    _symbol("BTC", "0.01", "1000000", "0.00001", ("9000", "120.04122288")),
    _symbol("ETH", "0.01", "1000000", "0.0001", ("9000", "2406.51876083")),
    _symbol("SOL", "0.01", "10000", "0.001", ("90000", "14327.34204603")),
    _symbol("BNB", "0.01", "100000", "0.001", ("900000", "585.20788284")),
    _symbol("XRP", "0.0001", "10000", "0.1", ("9222449", "692734.70326610")),
    _symbol("DOGE", "0.00001", "1000", "1", ("9000000", "6310412.83750000"), "1"),
]
SYMBOLS: dict[str, Symbol] = {row.name: row for row in _ROWS}
ASSETS = [QUOTE, *(row.base for row in _ROWS)]
