"""Every error code of Binance's, at every call that the executor makes: once, and for ever.

Over real connections against the paper exchange, a customer for each code and call, many at once. Asserted for each:
how the execution ends and with which word, number and sentences; that there is one entry at most; and that no position
is left without its stop-loss, neither while the exchange goes on answering so nor afterwards.

For ever, one code stands for all of its word: which codes those are is `binance_errors`' business, and nothing behind
it looks at numbers any more.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from services.executor import exchange, tables
from services.executor.app import build, open_egress
from services.executor.binance_errors import REASONS
from services.executor.exchange.client import Failed
from services.executor.exchange.futures import Futures
from services.executor.outcomes import Answer, judge
from services.executor.settings import Settings
from services.executor.tests.conftest import SYMBOL, Customer, House, Paper
from services.executor.timing import Timing
from services.paper_exchange.errors import STATUSES
from shared import sealing
from shared.bus.inprocess import InProcessBus
from shared.bus.topology import LEDGER
from shared.clock import SystemClock
from shared.contracts import ExecutionFinished
from shared.db import migrate
from shared.db.database import Database
from shared.reasons import CATALOGUE, Kind, Reason

MET = {code: judge(Answer(STATUSES.get(code, 400), code, "")).why.reason for code in REASONS["futures"]}
TOO_MANY = (-1003, -1015)  # answered as 429: everybody waits, so they come last
ONE_OF_EACH = {reason: code for code, reason in reversed(MET.items()) if code not in TOO_MANY}
# brief where one waits for nothing, patient where a busy machine is slow
BRIEF = Timing(recv_window_ms=2_500, lag_margin_ms=200, ask_again_ms=50, price_within_ms=1_000)
NEVER_TO_BE_PROTECTED = replace(BRIEF, naked_max_ms=4_000)
PATIENT = {"call_timeout_ms": 8_000, "stop_entries_after_accounts": 1_000_000}
WITHDRAWN = -5000  # "Path …, Method … is invalid"
AT_ONCE = 35
CONFIG: dict[str, Any] = {"leverage": 20, "take_profit_pct": None}  # 20 is what new accounts have: nothing to set
SUCCESS, PENDING = "success", "pending"
Ends = Callable[[Reason], str]


def is_final(reason: Reason) -> bool:
    return CATALOGUE[reason].kind not in (Kind.RETRYABLE, Kind.OUTCOME_UNKNOWN)


def always(end: str) -> Ends:
    return lambda _reason: end


def refused_or(end: str, **others: str) -> Ends:
    """A final answer's own word, else `end`; `others` by reason."""
    return lambda reason: others.get(reason, str(reason) if is_final(reason) else end)


def not_placed_or_its_word(reason: Reason) -> str:
    return "not_placed" if CATALOGUE[reason].kind is Kind.OUTCOME_UNKNOWN else str(reason)


@dataclass(frozen=True)
class Call:
    """A call, the signal during which it is made, and how that ends if it is answered with a code."""

    method: str
    path: str
    once: Ends
    for_ever: Ends
    action: str = "buy"
    config: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, str, int] | None = None  # what else must go wrong for the call to be made, and is the cause then
    does_without: bool = False  # where the exchange does not offer it (any more), another call takes its place

    def end(self, code: int, *, for_ever: bool) -> str:
        """How an execution ends that meets the code."""
        if self.does_without and code == WITHDRAWN:
            return SUCCESS
        return (self.for_ever if for_ever else self.once)(MET[code])

    @property
    def is_quiet(self) -> bool:
        """Whether it decides nothing when it fails once."""
        return all(self.once(reason) == SUCCESS for reason in Reason)


V2_WITHDRAWN = ("GET", "/fapi/v2/positionRisk", WITHDRAWN)
LOST_STOP = ("POST", "/fapi/v1/algoOrder", -1007)
NEXT_TIME = {"account_mode": SUCCESS, "position_too_large": SUCCESS, "leverage_not_allowed": SUCCESS}
UNWOUND = always("unprotected_closed")

CALLS = {
    "fapiPrivateGetAccountConfig": Call("GET", "/fapi/v1/accountConfig", refused_or(SUCCESS), refused_or("expired")),
    "fapiPrivateGetLeverageBracket": Call(
        "GET", "/fapi/v1/leverageBracket", refused_or(SUCCESS), refused_or("expired"), does_without=True
    ),
    "fapiPrivateV2GetPositionRisk": Call(
        "GET", "/fapi/v2/positionRisk", refused_or(SUCCESS), refused_or("expired"), does_without=True
    ),
    "fapiPrivateGetSymbolConfig": Call(
        "GET", "/fapi/v1/symbolConfig", refused_or(SUCCESS), refused_or("expired"), after=V2_WITHDRAWN
    ),
    "fapiPrivatePostMarginType": Call(
        "POST",
        "/fapi/v1/marginType",
        refused_or(SUCCESS, **NEXT_TIME),
        refused_or("exchange_unavailable"),
        config={"margin_type": "isolated"},
    ),
    "fapiPrivatePostLeverage": Call(
        "POST",
        "/fapi/v1/leverage",
        refused_or(SUCCESS, **NEXT_TIME),
        refused_or("exchange_unavailable"),
        config={"leverage": 10},
    ),
    "fapiPrivatePostOrder": Call(
        "POST",
        "/fapi/v1/order",
        lambda reason: refused_or(SUCCESS, **NEXT_TIME, no_answer="not_placed", out_of_step="not_placed")(reason),
        not_placed_or_its_word,
    ),
    "fapiPrivateGetOrder": Call("GET", "/fapi/v1/order", always(SUCCESS), always(SUCCESS)),
    "fapiPrivatePostAlgoOrder": Call(
        "POST",
        "/fapi/v1/algoOrder",
        lambda reason: "unprotected_closed" if reason is Reason.PRICE_THROUGH else SUCCESS,
        UNWOUND,
    ),
    "fapiPrivateGetOpenAlgoOrders": Call("GET", "/fapi/v1/openAlgoOrders", always(SUCCESS), UNWOUND, after=LOST_STOP),
    "fapiPrivateGetAllAlgoOrders": Call("GET", "/fapi/v1/allAlgoOrders", always(SUCCESS), UNWOUND, after=LOST_STOP),
    "fapiPrivateV3GetPositionRisk": Call(
        "GET", "/fapi/v3/positionRisk", always(SUCCESS), refused_or(PENDING), action="close"
    ),
    "fapiPrivateDeleteAlgoOrder": Call(
        "DELETE",
        "/fapi/v1/algoOrder",
        always(SUCCESS),
        always(PENDING),
        action="close",
    ),
    "fapiPrivateGetUserTrades": Call("GET", "/fapi/v1/userTrades", always(SUCCESS), always(SUCCESS), action="close"),
}
CALLS |= {
    "fapiPrivatePostOrder to close": Call(
        "POST",
        "/fapi/v1/order",
        always(SUCCESS),
        refused_or(PENDING, account_mode="close_refused"),
        action="close",
    ),
}
PUBLIC = {
    "fapiPublicGetTime": "/fapi/v1/time",
    "fapiPublicGetExchangeInfo": "/fapi/v1/exchangeInfo",
    "fapiPublicGetPremiumIndex": "/fapi/v1/premiumIndex",
}


def test_no_call_of_the_executors_is_missing_here() -> None:
    folder = Path(str(exchange.__file__)).parent
    named = re.compile(r'"(fapi(?:Public|Private)(?:V\d)?(?:Get|Post|Put|Delete)\w+)"')
    made = {name for file in folder.glob("*.py") for name in named.findall(file.read_text())}
    assert made == {name.split()[0] for name in CALLS} | PUBLIC.keys()


class Crowd(House):
    """A house with patience for many at once, and what it told by execution."""

    def __init__(self, database: Database, bus: InProcessBus, paper: Paper) -> None:
        super().__init__(database, bus, paper, sealing.new_key())
        self.settings = self.settings.model_copy(update=PATIENT)
        self.done: dict[UUID, ExecutionFinished] = {}
        self.begun: dict[UUID, Case] = {}

    async def hear(self, messages: Any) -> None:
        self.done |= {m.execution_id: m for m in messages if isinstance(m, ExecutionFinished)}

    async def ends(self, ids: Iterable[UUID], within_s: float) -> None:
        """Wait for executions to end; those that do not are found out afterwards."""
        wanted = set(ids)
        for _ in range(round(within_s / 0.05)):
            if wanted <= self.done.keys():
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def crowd(
    request: pytest.FixtureRequest, paper: Paper, make_database: Callable[[str], Database]
) -> AsyncIterator[Crowd]:
    database, bus = make_database(tables.SCHEMA), InProcessBus()
    await migrate.upgrade(database, "executor")
    crowd = Crowd(database, bus, paper)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus.running())
        await stack.enter_async_context(bus.consuming(LEDGER, crowd.hear))
        for part in build(crowd.settings, database, bus, SystemClock(), getattr(request, "param", BRIEF)).parts:
            await stack.enter_async_context(part())
        yield crowd


@dataclass(frozen=True)
class Case:
    """A code met at calls of one execution, and the customer who meets it."""

    name: str
    calls: Sequence[Call]
    code: int
    end: str
    customer: Customer

    async def meet(self, paper: Paper, *, for_ever: bool) -> None:
        """From now on the exchange answers the customer's calls with the code."""
        options = {"api_key": self.customer.api_key, "times": 0 if for_ever else 1}
        for method, path, code in dict.fromkeys(call.after for call in self.calls if call.after):
            await paper.fault("error", code=code, method=method, path=path, **options)
        if self.code in TOO_MANY:
            options |= {"retry_after_s": 1}
        for call in self.calls:
            await paper.fault("error", code=self.code, method=call.method, path=call.path, **options)

    def wrong(self, done: ExecutionFinished | None, end: str) -> list[str]:
        """What the record says otherwise than it should: word, number, or a sentence without the remedy and Binance."""
        told = (done.error_code or SUCCESS) if done else PENDING
        if told != end:
            return [f"{self.name} {self.code}: {told} instead of {end}"]
        if done is None or end == SUCCESS:
            return []
        cause = next((call.after[2] for call in self.calls if call.after and call.after[2] != WITHDRAWN), self.code)
        remedy, said = CATALOGUE[Reason(end)].remedy, f" (Binance {cause}: "
        is_told = remedy.en + said in (done.error_message or "") and remedy.pt + said in (done.error_message_pt or "")
        return [] if is_told and done.exchange_code == cause else [f"{self.name} {self.code}: {done.error_message}"]

    async def unsafe(self, paper: Paper) -> list[str]:
        """More than one entry, or a position without its stop-loss."""
        state = await paper.state(self.customer.api_key)
        entries = sum(row["side"] == "BUY" and row["type"] == "MARKET" for row in state["orders"])
        held = any(float(row["positionAmt"]) for row in state["positions"])
        is_protected = any(row["orderType"] == "STOP_MARKET" for row in state["open_algo_orders"])
        return [] if entries <= 1 and (is_protected or not held) else [f"{self.name} {self.code}: not safe"]


async def trade(crowd: Crowd, cases: Sequence[Case], *, for_ever: bool = False) -> list[str]:
    """All cases of the same calls at once; what went wrong. Who closes holds a position already."""
    action, config = cases[0].calls[0].action, cases[0].calls[0].config
    for case in cases:
        await case.meet(crowd.paper, for_ever=for_ever)
    age_s = 57 if "expired" in {case.end for case in cases} else 0
    ids = await crowd.signal(action, *(case.customer for case in cases), age_s=age_s, **(CONFIG | dict(config)))
    begun = dict(zip(ids, cases, strict=True))
    crowd.begun |= begun
    await crowd.ends((id_ for id_, case in begun.items() if case.end != PENDING), within_s=40)
    records = [one for id_, case in begun.items() for one in case.wrong(crowd.done.get(id_), case.end)]
    return records + [one for case in cases for one in await case.unsafe(crowd.paper)]


async def meet_alone(crowd: Crowd, name: str, call: Call, codes: Sequence[int], *, for_ever: bool) -> list[str]:
    """Each code at one call."""
    cases = [Case(name, [call], code, call.end(code, for_ever=for_ever), await crowd.customer()) for code in codes]
    if call.action == "close":
        await crowd.ends(await crowd.signal("buy", *(case.customer for case in cases), **CONFIG), within_s=40)
    return await trade(crowd, cases, for_ever=for_ever)


async def meet_all_along(crowd: Crowd, codes: Sequence[int]) -> list[str]:
    """Each code at all calls that decide nothing, once at each, in the life of one position."""
    quiet, wrong = [call for call in CALLS.values() if call.is_quiet], []
    customers = {code: await crowd.customer() for code in codes}
    for action in ("buy", "close"):
        calls = [call for call in quiet if call.action == action]
        wrong += await trade(crowd, [Case(action, calls, code, SUCCESS, who) for code, who in customers.items()])
    return wrong


async def a_few_at_a_time(few: int, meetings: Iterable[Callable[[], Awaitable[list[str]]]]) -> list[str]:
    """What went wrong in any of them."""
    slots = asyncio.Semaphore(few)

    async def one(meeting: Callable[[], Awaitable[list[str]]]) -> list[str]:
        async with slots:
            return await meeting()

    return [wrong for found in await asyncio.gather(*map(one, meetings)) for wrong in found]


async def relieved(crowd: Crowd) -> list[str]:
    """Those that are still at it end well when the exchange answers rightly again; what went wrong."""
    await crowd.paper.no_faults()
    pending = {id_: case for id_, case in crowd.begun.items() if case.end == PENDING}
    await crowd.ends(pending, within_s=40)
    wrong = [one for id_, case in pending.items() for one in case.wrong(crowd.done.get(id_), SUCCESS)]
    return wrong + [one for case in crowd.begun.values() for one in await case.unsafe(crowd.paper)]


on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def once(crowd: Crowd, codes: Sequence[int]) -> list[Callable[[], Awaitable[list[str]]]]:
    """Meetings of the codes with every call."""
    deciding = {name: call for name, call in CALLS.items() if not call.is_quiet}
    alone = [partial(meet_alone, crowd, name, call, codes, for_ever=False) for name, call in deciding.items()]
    return [*alone, partial(meet_all_along, crowd, codes)]


@on_postgres
@pytest.mark.timeout(300)  # a minute where nothing else runs
async def test_a_code_met_once_ends_in_its_record_and_nothing_unprotected(crowd: Crowd) -> None:
    codes = [code for code in MET if code not in TOO_MANY]
    parts = [codes[start : start + AT_ONCE] for start in range(0, len(codes), AT_ONCE)]
    assert await a_few_at_a_time(2, [meeting for part in parts for meeting in once(crowd, part)]) == []
    assert await crowd.paper.faults() == 0, "every call was made"
    loud = [partial(meet_alone, crowd, name, call, TOO_MANY, for_ever=False) for name, call in CALLS.items()]
    assert await a_few_at_a_time(len(loud), loud) == []


@on_postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("crowd", [NEVER_TO_BE_PROTECTED], indirect=True, ids=["impatient"])
async def test_a_code_met_for_ever_ends_in_its_record_and_nothing_unprotected(crowd: Crowd) -> None:
    codes = [code for reason, code in ONE_OF_EACH.items() if reason is not Reason.CLOCK_OFF]
    meetings = [partial(meet_alone, crowd, name, call, codes, for_ever=True) for name, call in CALLS.items()]
    assert await a_few_at_a_time(4, meetings) == []
    assert await relieved(crowd) == []


@on_postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("crowd", [NEVER_TO_BE_PROTECTED], indirect=True, ids=["impatient"])
async def test_a_clock_that_is_off_for_ever_leaves_nothing_unprotected(crowd: Crowd) -> None:
    # by itself, since all customers share the clock; whose request is held back for its sake is told no code
    for name, call in CALLS.items():
        if call.action == "buy":
            wrong = await meet_alone(crowd, name, call, [ONE_OF_EACH[Reason.CLOCK_OFF]], for_ever=True)
            assert [one for one in wrong if one.endswith("not safe")] == []


@on_postgres
@pytest.mark.parametrize("code", [code for code, reason in MET.items() if reason is Reason.NO_ANSWER])
async def test_what_was_carried_out_under_an_unknown_outcome_is_not_done_twice(crowd: Crowd, code: int) -> None:
    customers = [await crowd.customer() for _ in range(4)]
    for customer, path in zip(customers, ("order", "algoOrder", "leverage", "marginType"), strict=True):
        await crowd.paper.fault(
            "error", code=code, executed=True, method="POST", path=f"/fapi/v1/{path}", api_key=customer.api_key
        )
    ids = await crowd.signal("buy", *customers, margin_type="isolated")
    await crowd.ends(ids, within_s=20)
    assert {crowd.done[id_].status for id_ in ids} == {SUCCESS}
    for customer in customers:
        state = await crowd.paper.state(customer.api_key)
        assert sum(row["side"] == "BUY" for row in state["orders"] if row["book"] == "order") == 1
        assert sorted(row["orderType"] for row in state["open_algo_orders"]) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]


@on_postgres
@pytest.mark.timeout(300)
async def test_a_code_met_once_by_a_spot_order_ends_in_its_record_and_nothing_unprotected(crowd: Crowd) -> None:
    met = {code: judge(Answer(STATUSES.get(code, 400), code, ""), "spot").why.reason for code in REASONS["spot"]}
    order = Call(
        "POST",
        "/api/v3/order",
        refused_or(SUCCESS, no_answer="not_placed", out_of_step="not_placed"),
        always(PENDING),
        config={"market_type": "spot"},
    )
    codes = [code for code in met if code not in TOO_MANY]
    cases = [Case("spot", [order], code, order.once(met[code]), await crowd.customer()) for code in codes]
    assert await trade(crowd, cases) == []
    for case in cases:
        wallet = (await crowd.paper.state(case.customer.api_key))["spot"]
        bought = sum(row["side"] == "BUY" for row in wallet["orders"])
        assert bought == (case.end == SUCCESS), case.code
        assert [row["type"] for row in wallet["open_orders"]] == ["STOP_LOSS"] * bought, case.code


@pytest.mark.parametrize(("name", "path"), PUBLIC.items(), ids=PUBLIC)
async def test_a_code_met_by_a_call_for_everybody_is_known_for_what_it_is(paper: Paper, name: str, path: str) -> None:
    settings = Settings(sealing_private_keys=SecretStr(sealing.new_key()), paper_exchange_url=paper.url)
    for reason, code in ONE_OF_EACH.items():
        futures = Futures(paper.url, SystemClock(), open_egress(settings), timeout_ms=5_000)
        async with futures.running():
            await paper.fault("error", code=code, path=path, times=0)
            if name != "fapiPublicGetTime":
                with pytest.raises(Failed) as caught:
                    await (futures.price(SYMBOL) if name == "fapiPublicGetPremiumIndex" else futures.rules(SYMBOL))
                assert judge(caught.value.reply).why.reason is reason, code
                await paper.no_faults()
            assert await futures.price(SYMBOL)
            assert (await futures.rules(SYMBOL)).symbol == SYMBOL
            await paper.no_faults()
