"""Conditional orders: the Algo Service. Pure.

Life: NEW, TRIGGERING, TRIGGERED, FINISHED; or CANCELED by the customer, EXPIRED by the system, REJECTED at the trigger.
Source: developers.binance.com, USDⓈ-M Futures, "New Algo Order", "Event: Algo Order Update", change log 2025-11-06.
"""

from decimal import Decimal

from services.paper_exchange.errors import Refused
from services.paper_exchange.futures import events
from services.paper_exchange.futures.fills import end_algo
from services.paper_exchange.futures.margin import is_hedge_close
from services.paper_exchange.futures.matching import admit, check_status, execute
from services.paper_exchange.futures.model import ZERO, Account, Algo, Market, Order
from services.paper_exchange.futures.rules import LIMIT_ALGO_TYPES, read_algo
from services.paper_exchange.futures.symbols import OPEN_ALGOS_MAX
from services.paper_exchange.signing import Params, whole

FIRST_ALGO_ID = 4_000_000_000_000_000


def place(
    market: Market, account: Account, params: Params, now_ms: int, *, gte_lag_ms: int = 0, strict_ids: bool = False
) -> Algo:
    """Accept a conditional order; else Refused (-4116, -4045, -4509, -4130, -2021, or a rule of its fields).

    A position younger than `gte_lag_ms` is not yet known here; with `strict_ids` an id is never free again.
    """
    new_id = FIRST_ALGO_ID + market.next_id()
    algo = read_algo(params, hedge_mode=account.hedge_mode, new_id=new_id, now_ms=now_ms)
    namesake = account.algo_by_client_id.get(algo.client_id)
    if namesake is not None and (strict_ids or namesake.id in account.open_algos):
        raise Refused(-4116)
    check_status(market, algo.symbol, reduces=algo.reduce_only or is_hedge_close(algo))
    if len(account.open_algos) >= OPEN_ALGOS_MAX:
        raise Refused(-4045)
    if algo.close_position:
        _check_close_position(account, algo, now_ms - gte_lag_ms)
    if algo.is_reached(market.prices[algo.symbol]):
        raise Refused(-2021)
    account.algos[algo.id] = account.open_algos[algo.id] = account.algo_by_client_id[algo.client_id] = algo
    market.watch(algo.symbol, account)
    events.algo_update(account, algo, now_ms)
    return algo


def trigger(market: Market, account: Account, algo: Algo, now_ms: int) -> None:
    """The price reached it: it becomes an order whose client order id is its own, or is REJECTED with the reason."""
    account.open_algos.pop(algo.id)
    algo.status, algo.trigger_ms, algo.updated_ms = "TRIGGERING", now_ms, now_ms
    events.algo_update(account, algo, now_ms)
    order = _order_of(market, account, algo, now_ms)
    try:
        admit(market, account, order)
    except Refused as refusal:
        algo.reject_reason = "Reduce Only reject" if refusal.code == -2022 else refusal.message
        end_algo(account, algo, "REJECTED", now_ms)
        return
    algo.order_id, algo.status = order.id, "TRIGGERED"
    events.algo_update(account, algo, now_ms)
    execute(market, account, order, now_ms)


def find(account: Account, params: Params) -> Algo:
    """The conditional order named by algoId or clientAlgoId: -2013 unknown, -1102 neither sent."""
    if params.get("algoId"):
        algo = account.algos.get(whole(params, "algoId"))
    elif params.get("clientAlgoId"):
        algo = account.algo_by_client_id.get(params["clientAlgoId"])
    else:
        raise Refused(-1102, "algoId")
    if algo is None:
        raise Refused(-2013)
    return algo


def cancel(account: Account, params: Params, now_ms: int) -> Algo:
    """Cancel an open conditional order; Refused(-2011) where it is not open."""
    try:
        algo = find(account, params)
    except Refused as refusal:
        raise Refused(-2011 if refusal.code == -2013 else refusal.code, "algoId") from None
    if algo.id not in account.open_algos:
        raise Refused(-2011)
    end_algo(account, algo, "CANCELED", now_ms)
    return algo


def cancel_all(account: Account, symbol: str, now_ms: int) -> None:
    """Cancel every open conditional order of a symbol; ordinary orders stay."""
    for algo in [algo for algo in account.open_algos.values() if algo.symbol == symbol]:
        end_algo(account, algo, "CANCELED", now_ms)


def _check_close_position(account: Account, algo: Algo, known_ms: int) -> None:
    """Close-all needs a position to close, opened by `known_ms` (-4509), and is one per kind and direction (-4130)."""
    position = account.position(algo.symbol, algo.position_side)
    if position.amount * (1 if algo.side == "SELL" else -1) <= 0 or position.opened_ms > known_ms:
        raise Refused(-4509)
    for other in account.open_algos.values():
        if other.close_position and (other.symbol, other.position_side, other.side, other.type) == (
            algo.symbol,
            algo.position_side,
            algo.side,
            algo.type,
        ):
            raise Refused(-4130)


def _order_of(market: Market, account: Account, algo: Algo, now_ms: int) -> Order:
    """The order a triggered algo becomes."""
    is_limit = algo.type in LIMIT_ALGO_TYPES
    quantity: Decimal = algo.quantity
    if algo.close_position:
        quantity = abs(account.position(algo.symbol, algo.position_side).amount)
    return Order(
        id=market.next_id(),
        client_id=algo.client_id,
        symbol=algo.symbol,
        side=algo.side,
        position_side=algo.position_side,
        type="LIMIT" if is_limit else "MARKET",
        time_in_force=algo.time_in_force if is_limit else "GTC",
        quantity=quantity,
        price=algo.price if is_limit else ZERO,
        # In hedge mode the side alone says that it reduces.
        reduce_only=algo.reduce_only and not account.hedge_mode,
        close_position=algo.close_position,
        created_ms=now_ms,
        updated_ms=now_ms,
        stp=algo.stp,
        good_till_ms=algo.good_till_ms,
    )
