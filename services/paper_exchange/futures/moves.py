"""Moving the market: what a new price triggers, fills and liquidates. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from services.paper_exchange.futures import events
from services.paper_exchange.futures.algo import trigger
from services.paper_exchange.futures.fills import end_algo, end_order, fill
from services.paper_exchange.futures.margin import headroom, is_hedge_close, margins
from services.paper_exchange.futures.model import Account, Algo, Income, Market, Order, Position

AUTOCLOSE = "autoclose-"  # begins the client order id of a liquidation order
LIQUIDATED = "5"  # expiry reason of orders that a liquidation takes out of the book


def move(market: Market, symbol: str, price: Decimal, now_ms: int) -> Iterator[Account]:
    """Set a price and settle, one by one, the accounts it concerns; each is yielded when it is done.

    The price holds for everybody from the first step; a caller may serve others between steps.
    """
    before, market.prices[symbol] = market.prices[symbol], price
    for account in list(market.watching[symbol].values()):
        _settle(market, account, symbol, before, now_ms)
        if account.is_idle(symbol):
            market.watching[symbol].pop(account.api_key, None)
        yield account


def _settle(market: Market, account: Account, symbol: str, before: Decimal, now_ms: int) -> None:
    """Run what the move reached in the order in which a price walking from the old to the new would reach it.

    Stops fill at the new price (the market jumped), resting limit orders at their own.
    """
    price = market.prices[symbol]
    reached: list[tuple[Decimal, int, Algo | Order]] = [
        (abs(algo.trigger_price - before), algo.id, algo)
        for algo in account.open_algos.values()
        if algo.symbol == symbol and algo.is_reached(price)
    ]
    reached += [
        (abs(order.price - before), order.id, order)
        for order in account.open_orders.values()
        if order.symbol == symbol and (order.price >= price if order.side == "BUY" else order.price <= price)
    ]
    for _, _, item in sorted(reached, key=lambda entry: entry[:2]):
        # An earlier one may have closed the position and with it expired this one.
        if isinstance(item, Algo) and item.id in account.open_algos:
            trigger(market, account, item, now_ms)
        elif isinstance(item, Order) and item.id in account.open_orders:
            _fill_resting(market, account, item, now_ms)
    if account.positions:
        _liquidate(market, account, now_ms)


def _fill_resting(market: Market, account: Account, order: Order, now_ms: int) -> None:
    """Fill a resting order at its own price, never beyond the position where it may only reduce."""
    if order.reduce_only or is_hedge_close(order):
        held = abs(account.position(order.symbol, order.position_side).amount)
        if not held:
            end_order(account, order, "EXPIRED", now_ms, "4")
            return
        order.quantity = min(order.quantity, held)
    fill(market, account, order, order.price, now_ms, maker=True, announce=False)


def _liquidate(market: Market, account: Account, now_ms: int) -> None:
    """Close at the mark price what has lost its margin: isolated positions one by one, the crossed ones together.

    A loss beyond the margin is the insurance fund's, as on the real exchange.
    """
    for position in account.held():
        if account.is_isolated(position.symbol) and headroom(market, account, position) <= 0:
            floor = account.wallet - position.isolated_wallet
            _force(market, account, [position], {position.symbol}, floor, now_ms)
    crossed = [position for position in account.held() if not account.is_isolated(position.symbol)]
    if crossed and headroom(market, account, crossed[0]) <= 0:
        symbols = {symbol for symbol in market.prices if not account.is_isolated(symbol)}
        _force(market, account, crossed, symbols, margins(market, account).isolated, now_ms)


def _force(
    market: Market, account: Account, positions: list[Position], symbols: set[str], floor: Decimal, now_ms: int
) -> None:
    """Liquidate positions and end the orders of their symbols; the wallet does not fall below `floor`."""
    for order in list(account.open_orders.values()):
        if order.symbol in symbols:
            end_order(account, order, "CANCELED", now_ms, LIQUIDATED)
    for position in positions:
        order = _closing_order(market, position, now_ms)
        account.orders[order.id] = account.order_by_client_id[order.client_id] = order
        fill(market, account, order, order.price, now_ms, execution="CALCULATED")
    for algo in list(account.open_algos.values()):
        if algo.symbol in symbols:
            end_algo(account, algo, "EXPIRED", now_ms)
    if account.wallet < floor:
        account.incomes.append(Income(market.next_id(), "INSURANCE_CLEAR", "", floor - account.wallet, now_ms))
        account.wallet = floor
        events.account_update(market, account, [], "INSURANCE_CLEAR", now_ms)


def _closing_order(market: Market, position: Position, now_ms: int) -> Order:
    """The liquidation order of a position; Binance names it autoclose-…."""
    new_id = market.next_id()
    return Order(
        id=new_id,
        client_id=f"{AUTOCLOSE}{now_ms}{new_id}",
        symbol=position.symbol,
        side="SELL" if position.amount > 0 else "BUY",
        position_side=position.side,
        type="LIMIT",
        time_in_force="IOC",
        quantity=abs(position.amount),
        price=market.prices[position.symbol],
        reduce_only=False,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
