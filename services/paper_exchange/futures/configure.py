"""Account settings: leverage, margin type, margin of a position, position mode, assets mode. Pure.

Source: developers.binance.com, USDⓈ-M Futures, "Change Initial Leverage", "Change Margin Type", "Modify Isolated
Position Margin", "Change Position Mode",
"Change Multi-Assets Mode".
"""

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import events
from services.paper_exchange.futures.margin import initial, margins, unrealized
from services.paper_exchange.futures.model import ZERO, Account, Market
from services.paper_exchange.futures.rules import read_number, read_symbol
from services.paper_exchange.futures.symbols import Symbol
from services.paper_exchange.signing import Params, text, whole


def set_leverage(market: Market, account: Account, params: Params, now_ms: int) -> Symbol:
    """Set a symbol's leverage: -4028 outside the brackets, -2027 or -2028 where the position does not allow it."""
    symbol, leverage = read_symbol(params), whole(params, "leverage")
    if not 1 <= leverage <= symbol.brackets[0].leverage:
        raise Refused(-4028, leverage)
    before = account.leverage(symbol.name)
    held = [position for position in account.held() if position.symbol == symbol.name]
    if held and leverage < before and account.is_isolated(symbol.name):
        raise Refused(-4161)
    if any(abs(p.amount) * market.prices[symbol.name] > symbol.max_notional(leverage) for p in held):
        raise Refused(-2027)
    account.leverages[symbol.name] = leverage
    sums = margins(market, account)
    if leverage < before and sums.cross_initial + sums.order_initial > sums.cross_balance:
        account.leverages[symbol.name] = before
        raise Refused(-2028)
    events.config_update(account, symbol.name, now_ms)
    return symbol


def set_margin_type(account: Account, params: Params) -> None:
    """Set a symbol's margin type: -4046 unchanged, -4168 in multi-assets mode, -4047 open orders, -4048 a position."""
    symbol, margin_type = read_symbol(params).name, text(params, "marginType").upper()
    if margin_type not in ("ISOLATED", "CROSSED"):
        raise Refused(-1130, "marginType")
    if (margin_type == "ISOLATED") == account.is_isolated(symbol):
        raise Refused(-4046)
    if account.multi_assets and margin_type == "ISOLATED":
        raise Refused(-4168)
    open_in = {order.symbol for order in account.open_orders.values()}
    if symbol in open_in | {algo.symbol for algo in account.open_algos.values()}:
        raise Refused(-4047)
    if any(position.symbol == symbol for position in account.held()):
        raise Refused(-4048)
    account.margin_types[symbol] = margin_type


def move_margin(market: Market, account: Account, params: Params, now_ms: int) -> None:
    """Add margin to an isolated position (type 1) or take some out (type 2).

    -4055 for an amount that is not positive, -4049 for a crossed position, -4054 for none, -4050 for more than is
    available, -4051 for more than the position can spare: its initial margin and what it has lost stay.
    """
    symbol, amount, direction = read_symbol(params).name, read_number(params, "amount"), whole(params, "type")
    if direction not in (1, 2):
        raise Refused(-1130, "type")
    if amount <= 0:
        raise Refused(-4055)
    if not account.is_isolated(symbol):
        raise Refused(-4049)
    position = account.position(symbol, params.get("positionSide") or "BOTH")
    if not position.amount:
        raise Refused(-4054)
    mark = market.prices[symbol]
    if direction == 1 and amount > margins(market, account).available:
        raise Refused(-4050)
    lost = min(ZERO, unrealized(position, mark))
    if direction == 2 and amount > position.isolated_wallet + lost - initial(account, position, mark):
        raise Refused(-4051)
    position.isolated_wallet += amount if direction == 1 else -amount
    events.account_update(market, account, [position], "MARGIN_TRANSFER", now_ms)


def set_position_mode(account: Account, params: Params) -> None:
    """Turn hedge mode on or off: -4059 unchanged, -4067 with open orders, -4068 with a position."""
    wanted = text(params, "dualSidePosition").lower()
    if wanted not in ("true", "false"):
        raise Refused(-1130, "dualSidePosition")
    if (wanted == "true") == account.hedge_mode:
        raise Refused(-4059)
    if account.open_orders or account.open_algos:
        raise Refused(-4067)
    if account.held():
        raise Refused(-4068)
    account.hedge_mode = wanted == "true"


def set_assets_mode(account: Account, params: Params, now_ms: int) -> None:
    """Turn multi-assets mode on or off: -4171 unchanged, -4170 with open orders, -4167 with an isolated symbol."""
    wanted = text(params, "multiAssetsMargin").lower()
    if wanted not in ("true", "false"):
        raise Refused(-1130, "multiAssetsMargin")
    if (wanted == "true") == account.multi_assets:
        raise Refused(-4171)
    if account.open_orders or account.open_algos:
        raise Refused(-4170)
    if "ISOLATED" in account.margin_types.values():
        raise Refused(-4167)
    account.multi_assets = wanted == "true"
    events.assets_mode_update(account, now_ms)
