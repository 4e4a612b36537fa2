"""The read side over HTTP: shapes, who sees what, filters, cursors."""

from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from services.ledger.tests.ledger_builders import (
    ADMIN,
    BOT,
    House,
    attended,
    bearer,
    closed,
    customer,
    dispatched,
    entries_allowed,
    entries_stopped,
    finished,
    needed,
    on_sqlite,
    opened,
    received,
    subscribed,
)
from shared.contracts import Doubt, ExecutionStatus
from shared.doubts import DOUBTS
from shared.reasons import Reason

ANA, BO, EVE = customer(1), customer(2), customer(3)


def ids(items: list[Any]) -> list[str]:
    return [item["id"] for item in items]


async def walk(house: House, path: str) -> list[str]:
    """All ids of a list, page by page."""
    found: list[str] = []
    cursor = ""
    while True:
        _, page = await house.ask(path + cursor)
        found += ids(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={quote(page['next_cursor'])}"


async def test_results_have_the_contracts_fields_and_amounts_are_strings(house: House) -> None:
    signal_id, subscription_id, position_id = uuid4(), uuid4(), uuid4()
    fact = finished(signal_id, subscription_id, user_id=ANA.user_id)
    await house.hear(received(signal_id), dispatched(signal_id, 1), fact)
    await house.hear(opened(position_id, subscription_id, user_id=ANA.user_id))
    assert await house.items("/signals") == [
        {
            "id": str(signal_id),
            "bot_id": str(BOT),
            "ticker": "BTCUSDT",
            "action": "buy",
            "source_ip": "52.89.214.238",
            "received_at": "2026-11-22T12:00:00Z",
            "status": "settled",
            "total_subscribers": 1,
            "successful_executions": 1,
            "failed_executions": 0,
            "skipped_executions": 0,
            "needing_attention": 0,
        }
    ]
    assert await house.items("/executions") == [
        {
            "id": str(fact.execution_id),
            "signal_id": str(signal_id),
            "subscription_id": str(subscription_id),
            "bot_id": str(BOT),
            "user_id": str(ANA.user_id),
            "ticker": "BTCUSDT",
            "action": "buy",
            "status": "success",
            "exchange_order_id": "123456789",
            "executed_price": "95234.5",
            "executed_quantity": "0.031",
            "stop_loss_order_id": "987654321",
            "take_profit_order_id": "111222333",
            "stop_loss_price": "93806",
            "take_profit_price": "102853.2",
            "error_code": None,
            "exchange_code": None,
            "error_message": None,
            "error_message_pt": None,
            "execution_time_ms": 1234,
            "naked_ms": fact.naked_ms,
            "recorded_at": "2026-11-22T12:00:00Z",
        }
    ]
    is_open = {
        "id": str(position_id),
        "bot_id": str(BOT),
        "subscription_id": str(subscription_id),
        "ticker": "BTCUSDT",
        "side": "long",
        "quantity": "0.031",
        "entry_price": "95234.5",
        "stop_loss_price": "93806",
        "take_profit_price": None,
        "status": "open",
        "opened_at": "2026-11-22T12:00:00Z",
        "closed_at": None,
        "close_reason": None,
        "realized_pnl_usd": None,
        "funding_usd": None,
    }
    assert await house.items("/positions") == [is_open]
    await house.hear(closed(position_id, subscription_id, user_id=ANA.user_id))
    assert await house.items("/positions?status=closed") == [
        is_open
        | {
            "status": "closed",
            "closed_at": "2026-11-22T12:05:00Z",
            "close_reason": "take_profit",
            "realized_pnl_usd": "233.71",
        }
    ]
    assert await house.items("/positions?status=open") == []


async def test_a_signal_is_pending_and_its_total_unknown_until_it_is_dispatched(house: House) -> None:
    signal_id = uuid4()
    await house.hear(received(signal_id))
    _, signal = await house.ask(f"/signals/{signal_id}")
    assert (signal["status"], signal["total_subscribers"]) == ("pending", None)


async def test_partial_rows_are_hidden_until_the_fact_that_makes_them_whole(house: House) -> None:
    signal_id, position_id = uuid4(), uuid4()
    await house.hear(finished(signal_id, uuid4()), dispatched(signal_id, 1), closed(position_id, uuid4()))
    assert await house.items("/signals") == []
    assert (await house.ask(f"/signals/{signal_id}"))[0] == 404
    assert await house.items("/positions") == []
    await house.hear(received(signal_id), opened(position_id, uuid4()))
    assert [(item["id"], item["status"]) for item in await house.items("/signals")] == [(str(signal_id), "settled")]
    assert [item["status"] for item in await house.items("/positions")] == ["closed"]


async def test_everyone_sees_what_is_theirs_and_an_administrator_all(house: House) -> None:
    other_bot = UUID(int=0xB1)
    here, there = uuid4(), uuid4()
    await house.hear(received(here), received(there, bot_id=other_bot, after_s=1))
    await house.hear(subscribed(ANA.user_id), subscribed(BO.user_id, bot_id=other_bot))
    await house.hear(subscribed(EVE.user_id), subscribed(EVE.user_id, status="deleted"))
    of_ana = finished(here, uuid4(), user_id=ANA.user_id)
    of_bo = finished(there, uuid4(), user_id=BO.user_id, bot_id=other_bot)
    await house.hear(of_ana, of_bo)
    position_of_ana, position_of_bo = UUID(int=1), UUID(int=2)
    await house.hear(opened(position_of_ana, uuid4(), user_id=ANA.user_id))
    await house.hear(opened(position_of_bo, uuid4(), user_id=BO.user_id, after_s=1))
    sees = {
        ADMIN: ([there, here], [of_bo.execution_id, of_ana.execution_id], [position_of_bo, position_of_ana]),
        ANA: ([here], [of_ana.execution_id], [position_of_ana]),
        BO: ([there], [of_bo.execution_id], [position_of_bo]),
        EVE: ([], [], []),
    }
    for caller, lists in sees.items():
        for path, visible in zip(("/signals", "/executions", "/positions"), lists, strict=True):
            assert ids(await house.items(path, caller)) == [str(id_) for id_ in visible], (caller, path)
    for caller in (ADMIN, ANA, BO, EVE):
        for path, mine in (("/signals", sees[caller][0]), ("/executions", sees[caller][1])):
            for id_ in (here, there, of_ana.execution_id, of_bo.execution_id):
                status, answer = await house.ask(f"{path}/{id_}", caller)
                assert status == (200 if id_ in mine else 404), (caller, path, id_)
                assert answer["id" if status == 200 else "code"] == (str(id_) if status == 200 else "not_found")


@on_sqlite
async def test_without_a_token_there_is_nothing_to_see(house: House) -> None:
    for path in ("signals", "executions", "positions", "audit/verify", "stream"):
        async with house.client.get(f"/api/v1/{path}") as response:
            assert response.status == 401, path


async def test_filters_combine_with_each_other_and_with_cursors(house: House) -> None:
    signal_id, subscription_id = uuid4(), uuid4()
    wanted = [
        finished(uuid4(), subscription_id, status=ExecutionStatus.FAILED, error_code="not_placed") for _ in range(5)
    ]
    for fact in wanted:
        await house.hear(fact, finished(fact.signal_id, uuid4(), status=ExecutionStatus.FAILED))
        await house.hear(finished(signal_id, subscription_id))
    newest_first = [str(fact.execution_id) for fact in reversed(wanted)]
    assert await walk(house, f"/executions?subscription_id={subscription_id}&status=failed&limit=2") == newest_first
    one = f"/executions?subscription_id={subscription_id}&signal_id={wanted[1].signal_id}"
    assert ids(await house.items(one)) == [str(wanted[1].execution_id)]
    await house.hear(received(UUID(int=1), bot_id=UUID(int=7)), received(uuid4()))
    assert ids(await house.items(f"/signals?bot_id={UUID(int=7)}")) == [str(UUID(int=1))]
    position_id = uuid4()
    await house.hear(opened(position_id, subscription_id), opened(uuid4(), uuid4()))
    assert ids(await house.items(f"/positions?subscription_id={subscription_id}")) == [str(position_id)]


async def test_cursors_are_stable_while_new_rows_come_in(house: House) -> None:
    def fact(what: str, number: int) -> Any:
        after_s = number // 3  # some at the same time
        if what == "signals":
            return received(uuid4(), after_s=after_s)
        return finished(uuid4(), uuid4()) if what == "executions" else opened(uuid4(), uuid4(), after_s=after_s)

    for what in ("signals", "executions", "positions"):
        await house.hear(*(fact(what, number) for number in range(7)))
        before = ids(await house.items(f"/{what}"))
        seen: list[str] = []
        cursor = ""
        for number in range(4):
            _, page = await house.ask(f"/{what}?limit=2{cursor}")
            seen += ids(page["items"])
            cursor = f"&cursor={page['next_cursor']}"
            await house.hear(fact(what, 100 + number))
        assert [id_ for id_ in seen if id_ in before] == before
        assert len(seen) == len(set(seen))


async def test_a_page_that_ends_the_list_has_no_cursor(house: House) -> None:
    await house.hear(*(finished(uuid4(), uuid4()) for _ in range(51)))
    _, page = await house.ask("/executions")
    assert (len(page["items"]), page["next_cursor"] is None) == (50, False)
    _, page = await house.ask("/executions?limit=51")
    assert (len(page["items"]), page["next_cursor"]) == (51, None)


async def test_a_bad_cursor_is_named(house: House) -> None:
    for what in ("signals", "executions", "positions"):
        for cursor in ("x", "%00", "Zm9v", "WzFd", "WyJhIiwiYiJd", "é"):
            status, problem = await house.ask(f"/{what}?cursor={cursor}")
            assert (status, problem["code"], problem["field"]) == (422, "invalid_request", "cursor"), (what, cursor)


@on_sqlite
async def test_a_bad_query_is_named(house: House) -> None:
    for path, field in (
        ("/signals?limit=0", "limit"),
        ("/executions?limit=201", "limit"),
        ("/executions?status=good", "status"),
        ("/positions?status=ajar", "status"),
        ("/executions?signal_id=1", "signal_id"),
        ("/signals?colour=red", "colour"),
        (f"/signals/{BOT}?wait=31", "wait"),
    ):
        status, problem = await house.ask(path)
        assert (status, problem["field"]) == (422, field), path


@on_sqlite
async def test_an_id_that_is_none_names_nothing(house: House) -> None:
    assert (await house.ask("/signals/none"))[0] == 404
    assert (await house.ask("/executions/none"))[0] == 404


@on_sqlite
async def test_openapi_describes_the_routes(house: House) -> None:
    async with house.client.get("/openapi.json", headers=bearer(ADMIN)) as response:
        document = await response.json()
    assert {path for path in document["paths"] if path.startswith("/api/v1/")} == {
        "/api/v1/signals",
        "/api/v1/signals/{signal_id}",
        "/api/v1/executions",
        "/api/v1/executions/{execution_id}",
        "/api/v1/positions",
        "/api/v1/reasons",
        "/api/v1/attention",
        "/api/v1/audit/verify",
        "/api/v1/stops",
        "/api/v1/stream",
    }


@on_sqlite
async def test_whoever_asks_is_told_what_every_error_code_means_and_what_to_do_in_two_languages(house: House) -> None:
    async with house.client.get("/api/v1/reasons") as response:
        page = await response.json()
    assert (response.status, page["next_cursor"]) == (200, None)
    assert [item["code"] for item in page["items"]] == list(Reason)
    assert next(item for item in page["items"] if item["code"] == "insufficient_margin") == {
        "code": "insufficient_margin",
        "kind": "customer_must_act",
        "meaning": "The wallet has too little free balance for this trade.",
        "meaning_pt": "A carteira tem saldo livre insuficiente para esta operação.",
        "remedy": "Transfer USDT to it, or lower the margin.",
        "remedy_pt": "Transfira USDT para ela ou reduza a margem.",
    }


async def test_stops_of_entries_are_an_administrators_to_see_and_those_in_force_stand_first(house: House) -> None:
    over, unheard, in_force = uuid4(), uuid4(), uuid4()
    await house.hear(entries_allowed(over), entries_stopped(over), entries_stopped(in_force), entries_allowed(unheard))
    assert (await house.ask("/stops", ANA))[0] == 403
    first, second = await house.items("/stops")
    assert first == {
        "id": str(in_force),
        "environment": "live",
        "market_type": "futures",
        "exchange_code": -4120,
        "message": "New entries are stopped.",
        "stopped_at": "2026-11-22T12:00:00Z",
        "allowed_at": None,
        "allowed_by": None,
    }
    assert (second["id"], second["allowed_at"]) == (str(over), "2026-11-22T12:05:00Z")
    assert second["allowed_by"] == str(ADMIN.user_id)


async def test_an_execution_that_needs_attention_says_what_is_unknown_and_what_a_person_can_do(house: House) -> None:
    signal_id, mine, hers = uuid4(), uuid4(), uuid4()
    await house.hear(received(signal_id), dispatched(signal_id, 2))
    await house.hear(
        needed(mine, signal_id, user_id=ANA.user_id), needed(hers, signal_id, user_id=BO.user_id, after_s=1)
    )
    assert ids(await house.items("/attention")) == [str(hers), str(mine)]
    assert (await house.items("/signals"))[0]["needing_attention"] == 2
    [item] = await house.items("/attention", ANA)
    assert (item["id"], item["doubt"], item["client_order_id"]) == (str(mine), "order_unknown", "tc-x-e1")
    assert "order history" in item["advice"]
    assert "histórico de ordens" in item["advice_pt"]
    assert item["unknown"] != item["unknown_pt"]

    await house.hear(attended(mine, signal_id, user_id=ANA.user_id))
    assert await house.items("/attention", ANA) == []
    [item] = await house.items("/attention?status=ended", ANA)
    assert (item["outcome"], item["ended_by"]) == ("not_placed", str(ADMIN.user_id))
    assert (await house.items("/signals"))[0]["needing_attention"] == 1
    assert await house.items("/attention", EVE) == []


async def test_every_doubt_is_explained_in_whole_sentences_of_two_languages() -> None:
    assert list(DOUBTS) == list(Doubt)
    for said in DOUBTS.values():
        for words in (said.unknown, said.advice):
            assert words.en != words.pt
            assert words.en.endswith(".")
            assert words.pt.endswith(".")
