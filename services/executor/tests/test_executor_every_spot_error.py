"""Every error code of Spot, at every signed call that the executor makes there: what is bought is sold once.

A customer for each code and call, who holds some of the coin by hand: bought and closed, the code met once on the way.
Asserted after each of the two: one buy at most, protected or flat, what is the customer's own untouched, and a record
that says so, with Binance's code and a sentence in both languages where it ends otherwise than asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.executor import exchange
from services.executor.binance_errors import REASONS
from services.executor.tests.conftest import Customer
from services.executor.tests.own import Own
from services.executor.tests.test_executor_every_error import AT_ONCE, TOO_MANY, Crowd, crowd, on_postgres
from shared.contracts import ExecutionFinished

__all__ = ["crowd"]  # a fixture
OWN = Own("spot")
CODES = [code for code in REASONS["spot"] if code not in TOO_MANY]


@dataclass(frozen=True)
class Call:
    """A call, the signal that makes it, and whether it is made only after an order without an answer."""

    method: str
    path: str
    action: str = "buy"
    unanswered: bool = False


CALLS = {
    "privatePostOrder": Call("POST", "/api/v3/order"),
    "privatePostOrder, the sale": Call("POST", "/api/v3/order", "close"),
    "privatePostOrderListOco": Call("POST", "/api/v3/orderList/oco"),
    "privateDeleteOrder": Call("DELETE", "/api/v3/order", "close"),
    "privateGetAccount": Call("GET", "/api/v3/account"),
    "privateGetAccount, before the sale": Call("GET", "/api/v3/account", "close"),
    "privateGetOpenOrders": Call("GET", "/api/v3/openOrders"),
    "privateGetOrder": Call("GET", "/api/v3/order", unanswered=True),
    "privateGetMyTrades": Call("GET", "/api/v3/myTrades", unanswered=True),
    "privateGetMyTrades, of the sale": Call("GET", "/api/v3/myTrades", "close"),
}


def test_no_signed_spot_call_of_the_executors_is_missing_here() -> None:
    file = Path(str(exchange.__file__)).parent / "spot.py"
    made = set(re.findall(r'"(private(?:Get|Post|Put|Delete)\w+)"', file.read_text()))
    assert made == {name.split(",")[0] for name in CALLS}


async def wrong(crowd: Crowd, action: str, name: str, code: int, who: Customer, done: ExecutionFinished) -> list[str]:
    """What is not as it must be after a signal."""
    state: Any = await crowd.paper.state(who.api_key)
    held, protections = OWN.held(state), OWN.protections(state)
    bought = [row for row in OWN.orders(state) if row["side"] == "BUY" and row["clientOrderId"].startswith("tc-")]
    met = f"{name} {code}, {action}: {done.status} {done.error_code}"
    found = []
    if len(bought) > 1:
        found.append(f"{met}: bought twice")
    if not OWN.untouched(state):
        found.append(f"{met}: what is the customer's own was touched")
    if held and "stop" not in protections:
        found.append(f"{met}: naked")
    if not held and protections:
        found.append(f"{met}: flat, and an order is left")
    is_so = bool(held) == (action == "buy") if done.status == "success" else bool(held) == (action == "close")
    if not is_so and done.error_code != "nothing_to_close":
        found.append(f"{met}: holding {held}")
    if done.status == "failed" and (done.exchange_code != code or not done.error_message or not done.error_message_pt):
        found.append(f"{met}: {done.exchange_code} {done.error_message} / {done.error_message_pt}")
    return found


async def meet(crowd: Crowd, name: str, call: Call, codes: Sequence[int]) -> list[str]:
    """Each code once at the call, in a position of its own."""
    customers = list(zip(await OWN.customers(crowd, len(codes)), codes, strict=True))
    found: list[str] = []
    for action in ("buy", "close"):
        for who, code in customers:
            if call.action == action:
                if call.unanswered:
                    options = {"method": "POST", "path": "/api/v3/order", "api_key": who.api_key}
                    await crowd.paper.fault("error", code=-1007, executed=True, **options)
                await crowd.paper.fault(
                    "error", code=code, method=call.method, path=call.path, api_key=who.api_key, times=1
                )
        ids = await crowd.signal(action, *(who for who, _ in customers), take_profit_pct=5, market_type="spot")
        await crowd.ends(ids, within_s=40)
        for id_, (who, code) in zip(ids, customers, strict=True):
            if id_ in crowd.done:
                found += await wrong(crowd, action, name, code, who, crowd.done[id_])
            else:
                found.append(f"{name} {code}, {action}: no end")
    return found


@on_postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CALLS)
async def test_a_code_met_once_ends_with_one_protected_position_or_none_and_a_true_record(
    crowd: Crowd, name: str
) -> None:
    for start in range(0, len(CODES), AT_ONCE):
        assert await meet(crowd, name, CALLS[name], CODES[start : start + AT_ONCE]) == []
