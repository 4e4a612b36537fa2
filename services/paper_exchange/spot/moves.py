"""What a new price does to spot orders. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from services.paper_exchange.spot import events
from services.paper_exchange.spot.fills import fill
from services.paper_exchange.spot.matching import trigger
from services.paper_exchange.spot.model import Account, Market


def settle(market: Market, symbol: str, before: Decimal, now_ms: int) -> Iterator[Account]:
    """Settle, one by one, the accounts that the move from `before` to the current price concerns."""
    for account in list(market.watching.get(symbol, {}).values()):
        _settle(market, account, symbol, before, now_ms)
        if account.is_idle(symbol):
            market.watching[symbol].pop(account.api_key, None)
        yield account


def _settle(market: Market, account: Account, symbol: str, before: Decimal, now_ms: int) -> None:
    """Run what the move reached in the order in which a price walking from the old to the new would reach it.

    Triggered market orders fill at the new price (the market jumped), resting limit orders at their own.
    """
    price = market.prices[symbol]
    reached = [
        (abs((order.stop_price if order.is_waiting else order.price) - before), order.id, order)
        for order in account.open_orders.values()
        if order.symbol == symbol and order.is_reached(price)
    ]
    for _, _, order in sorted(reached, key=lambda entry: entry[:2]):
        # The other order of its list may have started working and expired this one.
        if order.id not in account.open_orders:
            continue
        if order.is_waiting:
            trigger(market, account, order, now_ms)
        else:
            fill(market, account, order, order.price, now_ms, maker=True)
    if reached:
        events.account_position(account, symbol, now_ms)
