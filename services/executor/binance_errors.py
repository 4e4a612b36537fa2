"""Binance's error codes, by our word for what each means. Pure data.

What follows from a word (try again, ask what became of it, who must act) is its kind in `shared.reasons.CATALOGUE`.
Sources: "Error Codes" of USDⓈ-M Futures and of Spot, with Spot's "Filter failures" and "Messages for -1010, -2010, …".
"""

from shared.contracts import MarketType
from shared.reasons import Reason

_Codes = dict[Reason, tuple[int, ...]]

_BOTH: _Codes = {
    Reason.NO_ANSWER: (-1000, -1001, -1006, -1007),
    Reason.EXCHANGE_UNAVAILABLE: (-1003, -1008, -1015, -1016),
    Reason.CLOCK_OFF: (-1021,),
    Reason.KEY_REJECTED: (-1002, -1022, -1099, -2014, -2015, -2017),
    Reason.SYMBOL_NOT_TRADING: (-1121, -1122),
    Reason.NO_COUNTERPARTY: (-1112,),
    Reason.OUT_OF_STEP: (-1125, -2011, -2013),
    Reason.REFUSED: (
        *(-1010, -1013, -1014, -1020, -1108, -1111, -1114, -1115, -1116, -1117, -1127, -1128, -1130),
        *(-1134, -1136, -1145, -1151, -2010),
        *range(-1106, -1099),
    ),
}

_FUTURES: _Codes = {
    Reason.CLOCK_OFF: (-5028,),  # at the matching engine
    Reason.OUT_OF_STEP: (-4046, -4059, -4116, -4117, -4130, -4171, -5027),
    Reason.NO_POSITION_YET: (-4509,),
    Reason.NO_COUNTERPARTY: (-2020, -4131, -5041),
    Reason.INSUFFICIENT_MARGIN: (-2018, -2019, -2028, -4050, -4051),
    Reason.LEVERAGE_NOT_ALLOWED: (-4028, -4161, *range(-4209, -4201), -4403),
    Reason.POSITION_TOO_LARGE: (-2027, -4005),
    Reason.BELOW_MINIMUM: (-4003, -4004, -4164),
    Reason.SYMBOL_NOT_TRADING: (-4140, -4141),
    Reason.ACCOUNT_RESTRICTED: (*(-2023, -4087, -4088, -4105, -4106, -4107, -4109, -4189, -4192, -4400, -4401, -4402),),
    Reason.ACCOUNT_MODE: (*(-4060, -4061, -4062, -4067, -4068, -4167, -4169, -4170, -4172, -4531),),
    Reason.MARGIN_TYPE_LOCKED: (-4047, -4048, -4168),
    Reason.TOO_MANY_ORDERS: (-2025, -4045),
    Reason.PRICE_THROUGH: (-2021, -4142),
    Reason.CLOSE_REFUSED: (-2022, -2024, -4118),
    Reason.TRIGGER_OUT_OF_RANGE: (-4002, -4007, -4013, -4016, -4024, -4183, -4184, -4210, -4211),
    Reason.API_CHANGED: (-4120, -5000),  # -4120: what every bot met when stop orders moved to the Algo Service
    Reason.REFUSED: (
        *(-2026, -4006, -4014, -4015, -4023, -4049, -4054, -4055, -4136, -4137, -4138),
        *(-5021, -5022, -5029, -5043, -5047),
    ),
}

_SPOT: _Codes = {
    Reason.OUT_OF_STEP: (-2026,),
    Reason.REFUSED: (-1158, -1165, -1166, -1168, -1191, *range(-1199, -1195), -2021, -2022, -2035, -2036, -2039, -2042),
}

# On Spot these say in their message what they mean; the first fragment that is found decides.
_IN_WORDS = (-1010, -1013, -2010, -2011)
_SPOT_SAYS: tuple[tuple[str, Reason], ...] = (
    ("insufficient balance", Reason.INSUFFICIENT_MARGIN),
    ("duplicate order", Reason.OUT_OF_STEP),
    ("unknown order", Reason.OUT_OF_STEP),
    ("trigger immediately", Reason.PRICE_THROUGH),
    ("relationship of the prices", Reason.PRICE_THROUGH),
    ("immediately match", Reason.PRICE_THROUGH),
    ("market is closed", Reason.SYMBOL_NOT_TRADING),
    ("for this symbol", Reason.SYMBOL_NOT_TRADING),  # "Market orders are not supported for this symbol.", …
    ("this account", Reason.ACCOUNT_RESTRICTED),
    ("liquidity is less", Reason.NO_COUNTERPARTY),
    ("zero or less", Reason.BELOW_MINIMUM),
    ("filter failure: price_filter", Reason.TRIGGER_OUT_OF_RANGE),
    ("filter failure: percent_price", Reason.TRIGGER_OUT_OF_RANGE),
    ("filter failure: lot_size", Reason.BELOW_MINIMUM),
    ("filter failure: market_lot_size", Reason.BELOW_MINIMUM),
    ("filter failure: notional", Reason.BELOW_MINIMUM),
    ("filter failure: min_notional", Reason.BELOW_MINIMUM),
    ("filter failure: max_position", Reason.POSITION_TOO_LARGE),
    ("filter failure: max_num", Reason.TOO_MANY_ORDERS),
    ("filter failure: exchange_max_num", Reason.TOO_MANY_ORDERS),
)


def _by_code(*tables: _Codes) -> dict[int, Reason]:
    return {code: reason for table in tables for reason, codes in table.items() for code in codes}


REASONS: dict[MarketType, dict[int, Reason]] = {
    "futures": _by_code(_BOTH, _FUTURES),
    "spot": _by_code(_BOTH, _SPOT),
}
"""What is known of each market's codes, before their messages are read."""


def reason_of(market: MarketType, code: int, message: str) -> Reason | None:
    """Our word for an error of Binance's; null where it is not known."""
    if market == "spot" and code in _IN_WORDS:
        said = message.lower()
        found = next((reason for fragment, reason in _SPOT_SAYS if fragment in said), None)
        if found is not None:
            return found
    return REASONS[market].get(code)
