"""REST answers about the account as a whole: balances, positions, settings. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "Account" and "Position Information V2/V3".
"""

from decimal import Decimal

from services.paper_exchange.futures.events import break_even
from services.paper_exchange.futures.margin import Margins, initial, liquidation_price, margins, unrealized
from services.paper_exchange.futures.model import ZERO, Account, Json, Market, Position
from services.paper_exchange.futures.render import money
from services.paper_exchange.futures.rules import plain
from services.paper_exchange.futures.symbols import MAKER_FEE, MARGIN_ASSET, SYMBOLS, TAKER_FEE


def account_v3(market: Market, account: Account) -> Json:
    """GET /fapi/v3/account: positions only of symbols with a position or an open order."""
    sums = margins(market, account)
    rows = [_account_position(market, account, position) for position in _shown(account)]
    return {**_totals(sums), "assets": [_asset(account, sums)], "positions": rows}


def account_v2(market: Market, account: Account, *, can_withdraw: bool) -> Json:
    """GET /fapi/v2/account: positions of all symbols, with leverage and entry price."""
    sums = margins(market, account)
    asset = _asset(account, sums) | {"marginAvailable": True}
    rows = [
        _account_position(market, account, position)
        | {
            "leverage": str(account.leverage(position.symbol)),
            "isolated": account.is_isolated(position.symbol),
            "entryPrice": plain(position.entry),
            "breakEvenPrice": plain(break_even(position)),
            "maxNotional": plain(SYMBOLS[position.symbol].max_notional(account.leverage(position.symbol))),
            "bidNotional": "0",
            "askNotional": "0",
            "openOrderInitialMargin": "0",
            "positionInitialMargin": money(initial(account, position, market.prices[position.symbol])),
        }
        for position in _all(account)
    ]
    config = account_config(account, can_withdraw=can_withdraw)
    return {**config, "feeBurn": False, **_totals(sums), "assets": [asset], "positions": rows}


def account_config(account: Account, *, can_withdraw: bool) -> Json:
    """GET /fapi/v1/accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": can_withdraw,
        "dualSidePosition": account.hedge_mode,
        "updateTime": 0,
        "multiAssetsMargin": account.multi_assets,
        "tradeGroupId": -1,
    }


def balance(market: Market, account: Account) -> list[Json]:
    """GET /fapi/v2/balance and v3/balance."""
    sums = margins(market, account)
    return [
        {
            "accountAlias": "SgsR",
            "asset": MARGIN_ASSET,
            "balance": money(account.wallet),
            "crossWalletBalance": money(sums.cross_wallet),
            "crossUnPnl": money(sums.cross_unrealized),
            "availableBalance": money(sums.available),
            "maxWithdrawAmount": money(min(sums.available, sums.cross_wallet)),
            "marginAvailable": True,
            "updateTime": _updated(account),
        }
    ]


def risk_v3(market: Market, account: Account, symbol: str | None) -> list[Json]:
    """GET /fapi/v3/positionRisk: symbols with a position or an open order only."""
    return [_risk(market, account, position) for position in _shown(account) if symbol in (None, position.symbol)]


def risk_v2(market: Market, account: Account, symbol: str | None) -> list[Json]:
    """GET /fapi/v2/positionRisk: all symbols, with leverage and margin type."""
    rows = []
    for position in _all(account):
        if symbol in (None, position.symbol):
            leverage = account.leverage(position.symbol)
            rows.append(
                _risk(market, account, position)
                | {
                    "leverage": str(leverage),
                    "marginType": "isolated" if account.is_isolated(position.symbol) else "cross",
                    "isAutoAddMargin": "false",
                    "maxNotionalValue": plain(SYMBOLS[position.symbol].max_notional(leverage)),
                }
            )
    return rows


def symbol_config(account: Account, symbol: str | None) -> list[Json]:
    """GET /fapi/v1/symbolConfig."""
    return [
        {
            "symbol": row.name,
            "marginType": "ISOLATED" if account.is_isolated(row.name) else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": account.leverage(row.name),
            "maxNotionalValue": plain(row.max_notional(account.leverage(row.name))),
        }
        for row in SYMBOLS.values()
        if symbol in (None, row.name)
    ]


def trading_status(symbol: str | None, now_ms: int) -> Json:
    """GET /fapi/v1/apiTradingStatus: no symbol is locked."""
    limits = {"UFR": (0.05, 0.995), "IFER": (0.0, 0.99), "GCR": (0.0, 0.99), "DR": (0.0, 0.99)}
    rows = [
        {"isLocked": False, "plannedRecoverTime": 0, "indicator": name, "value": value, "triggerValue": trigger}
        for name, (value, trigger) in limits.items()
    ]
    return {"indicators": {name: rows for name in SYMBOLS if symbol in (None, name)}, "updateTime": now_ms}


def commission_rate(symbol: str) -> Json:
    """GET /fapi/v1/commissionRate."""
    return {
        "symbol": symbol,
        "makerCommissionRate": plain(MAKER_FEE),
        "takerCommissionRate": plain(TAKER_FEE),
        "rpiCommissionRate": "0.00005",
    }


def _totals(sums: Margins) -> Json:
    return {
        "totalInitialMargin": money(sums.initial),
        "totalMaintMargin": money(sums.maintenance),
        "totalWalletBalance": money(sums.wallet),
        "totalUnrealizedProfit": money(sums.unrealized),
        "totalMarginBalance": money(sums.balance),
        "totalPositionInitialMargin": money(sums.position_initial),
        "totalOpenOrderInitialMargin": money(sums.order_initial),
        "totalCrossWalletBalance": money(sums.cross_wallet),
        "totalCrossUnPnl": money(sums.cross_unrealized),
        "availableBalance": money(sums.available),
        "maxWithdrawAmount": money(min(sums.available, sums.cross_wallet)),
    }


def _asset(account: Account, sums: Margins) -> Json:
    return {
        "asset": MARGIN_ASSET,
        "walletBalance": money(sums.wallet),
        "unrealizedProfit": money(sums.unrealized),
        "marginBalance": money(sums.balance),
        "maintMargin": money(sums.maintenance),
        "initialMargin": money(sums.initial),
        "positionInitialMargin": money(sums.position_initial),
        "openOrderInitialMargin": money(sums.order_initial),
        "crossWalletBalance": money(sums.cross_wallet),
        "crossUnPnl": money(sums.cross_unrealized),
        "availableBalance": money(sums.available),
        "maxWithdrawAmount": money(min(sums.available, sums.cross_wallet)),
        "updateTime": _updated(account),
    }


def _account_position(market: Market, account: Account, position: Position) -> Json:
    mark = market.prices[position.symbol]
    notional, gained = position.amount * mark, unrealized(position, mark)
    isolated = position.isolated_wallet + gained if account.is_isolated(position.symbol) else ZERO
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": plain(position.amount),
        "unrealizedProfit": money(gained),
        "isolatedMargin": plain(isolated),
        "notional": plain(notional),
        "isolatedWallet": plain(position.isolated_wallet),
        "initialMargin": money(initial(account, position, mark)),
        "maintMargin": money(SYMBOLS[position.symbol].maintenance(abs(notional))),
        "updateTime": position.updated_ms,
    }


def _risk(market: Market, account: Account, position: Position) -> Json:
    mark = market.prices[position.symbol]
    liquidation = liquidation_price(market, account, position) if position.amount else ZERO
    row = _account_position(market, account, position)
    return row | {
        "entryPrice": plain(position.entry),
        "breakEvenPrice": plain(break_even(position)),
        "markPrice": money(mark),
        "unRealizedProfit": row.pop("unrealizedProfit"),
        "liquidationPrice": plain(liquidation.quantize(Decimal("1E-8"))),
        "marginAsset": MARGIN_ASSET,
        "positionInitialMargin": row["initialMargin"],
        "openOrderInitialMargin": "0",
        "adl": 0,
        "bidNotional": "0",
        "askNotional": "0",
    }


def _sides(account: Account) -> tuple[str, ...]:
    return ("LONG", "SHORT") if account.hedge_mode else ("BOTH",)


def _all(account: Account) -> list[Position]:
    return [account.position(symbol, side) for symbol in SYMBOLS for side in _sides(account)]


def _shown(account: Account) -> list[Position]:
    """Positions held, and flat ones of symbols with a resting order."""
    resting = {(order.symbol, order.position_side) for order in account.open_orders.values()}
    keys = {(position.symbol, position.side) for position in account.held()} | resting
    return [account.position(symbol, side) for symbol, side in sorted(keys)]


def _updated(account: Account) -> int:
    return max((position.updated_ms for position in account.positions.values()), default=account.created_ms)
