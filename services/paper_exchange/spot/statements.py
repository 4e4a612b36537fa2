"""REST answers about the spot account as a whole: balances and fees. Pure.

Source: binance-spot-api-docs, "Account information", "Query Commission Rates".
"""

from decimal import Decimal

from services.paper_exchange.spot.model import ZERO, Account, Json
from services.paper_exchange.spot.rules import money
from services.paper_exchange.spot.symbols import ASSETS, FEE

RATES = {"maker": money(FEE), "taker": money(FEE), "buyer": money(ZERO), "seller": money(ZERO)}
NO_RATES = dict.fromkeys(RATES, money(ZERO))
DISCOUNT = {"enabledForAccount": False, "enabledForSymbol": True, "discountAsset": "BNB", "discount": "0.75000000"}


def account_information(account: Account, *, omit_zero: bool, can_withdraw: bool) -> Json:
    """GET /api/v3/account."""
    points = int(FEE * 10_000)
    return {
        "makerCommission": points,
        "takerCommission": points,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": RATES,
        "canTrade": True,
        "canWithdraw": can_withdraw,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": balances(account, omit_zero=omit_zero),
        "permissions": ["SPOT"],
        "uid": int(account.api_key[:7] or "0", 16),
    }


def balances(account: Account, *, omit_zero: bool) -> list[Json]:
    """Free and locked of each asset."""
    return [
        {"asset": asset, "free": money(account.free(asset)), "locked": money(account.locked(asset))}
        for asset in ASSETS
        if not omit_zero or account.total(asset)
    ]


def commission(symbol: str) -> Json:
    """GET /api/v3/account/commission."""
    return {
        "symbol": symbol,
        "standardCommission": RATES,
        "specialCommission": NO_RATES,
        "taxCommission": NO_RATES,
        "discount": DISCOUNT,
    }


def commission_of_order() -> Json:
    """POST /api/v3/order/test with computeCommissionRates."""
    rates = {"maker": money(FEE), "taker": money(FEE)}
    none = {"maker": money(Decimal(0)), "taker": money(Decimal(0))}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": DISCOUNT,
    }
