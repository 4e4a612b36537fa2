"""From the TradingView alert to the audit record, through the doors that users have, in both shapes."""

import asyncio
from decimal import Decimal

from tests.system.conftest import World


async def test_the_source_documents_example(world: World) -> None:
    await world.make_bot()
    custom = await world.make_customer(
        custom_leverage=15,
        custom_margin_usd=200,
        custom_stop_loss_pct=1.5,
        custom_take_profit_pct=8.0,
        max_daily_loss_usd=500,
        max_concurrent_positions=3,
    )
    plain = [await world.make_customer() for _ in range(4)]

    answer = await world.alert()

    counts = {name: answer[name] for name in ("total_subscribers", "successful_executions", "failed_executions")}
    assert counts == {"total_subscribers": 5, "successful_executions": 5, "failed_executions": 0}
    records = await world.records(answer["signal_id"])
    assert len(records) == 5
    mine = records[custom.user_id]
    assert Decimal(mine["executed_quantity"]) == Decimal("0.031")
    assert Decimal(mine["executed_price"]) == Decimal("95234.50")
    # 93805.9825 and 102853.26, to the tick of 0.10 toward the entry
    assert (Decimal(mine["stop_loss_price"]), Decimal(mine["take_profit_price"])) == (
        Decimal("93806.0"),
        Decimal("102853.2"),
    )
    for record in records.values():
        assert record["status"] == "success"
        assert all(record[name] for name in ("exchange_order_id", "stop_loss_order_id", "take_profit_order_id"))
    for customer in (custom, *plain):
        held, protections = await world.exchange(customer)
        assert held == Decimal(records[customer.user_id]["executed_quantity"])
        assert set(protections) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
    signal = await world.ask("GET", f"/api/v1/signals/{answer['signal_id']}", token=world.admin)
    assert signal["status"] == "settled"
    assert (await world.ask("GET", "/api/v1/audit/verify", token=world.admin))["ok"] is True
    positions = (await world.ask("GET", "/api/v1/positions?status=open", token=custom.token))["items"]
    assert [(p["side"], Decimal(p["quantity"])) for p in positions] == [("long", Decimal("0.031"))]


async def test_two_of_five_customers_cannot_trade_and_learn_why_and_one_is_slow(world: World) -> None:
    await world.make_bot()
    revoked, poor, slow = (
        await world.make_customer(),
        await world.make_customer(balance=20),
        await world.make_customer(),
    )
    others = [await world.make_customer() for _ in range(2)]
    await world.paper("DELETE", f"/paper/accounts/{revoked.api_key}")
    await world.paper(
        "POST",
        "/paper/faults",
        {"match": {"api_key": slow.api_key}, "kind": "latency", "latency_ms": 3000, "times": 99},
    )

    answer = await world.alert(wait_s=0)
    # the slow customer's first call has not been answered yet when everybody else is done
    async with asyncio.timeout(2.9):
        while len(records := await world.records(answer["signal_id"])) < 4:
            await asyncio.sleep(0.05)
    assert slow.user_id not in records
    assert [records[other.user_id]["status"] for other in others] == ["success", "success"]
    assert (records[revoked.user_id]["status"], records[revoked.user_id]["exchange_code"]) == ("failed", -2015)
    assert "Make a new key" in records[revoked.user_id]["error_message"]
    assert (records[poor.user_id]["status"], records[poor.user_id]["exchange_code"]) == ("failed", -2019)
    assert "Transfer USDT" in records[poor.user_id]["error_message"]

    settled = await world.ask("GET", f"/api/v1/signals/{answer['signal_id']}?wait=30", token=world.admin)
    assert (settled["status"], settled["successful_executions"], settled["failed_executions"]) == ("settled", 3, 2)
    held, protections = await world.exchange(slow)
    assert held == Decimal("0.010")
    assert set(protections) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_buy_then_close_leaves_nothing_and_tells_the_profit(world: World) -> None:
    await world.make_bot()
    customer = await world.make_customer()
    await world.alert()
    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "96000"})
    answer = await world.alert(action="close")
    assert answer["successful_executions"] == 1
    assert await world.exchange(customer) == (Decimal(0), {})
    [position] = (await world.ask("GET", "/api/v1/positions?status=closed", token=customer.token))["items"]
    trades = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["trades"]
    expected = sum(Decimal(row["realizedPnl"]) - Decimal(row["commission"]) for row in trades)
    assert (position["close_reason"], Decimal(position["realized_pnl_usd"])) == ("signal", expected)


async def test_a_filled_stop_is_on_record_within_ten_seconds(world: World) -> None:
    await world.make_bot()
    customer = await world.make_customer()
    await world.alert()
    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "92000"})
    async with asyncio.timeout(10):
        while not (items := (await world.ask("GET", "/api/v1/positions?status=closed", token=customer.token))["items"]):
            await asyncio.sleep(0.1)
    assert items[0]["close_reason"] == "stop_loss"
    assert await world.exchange(customer) == (Decimal(0), {})


async def test_the_same_alert_twice_trades_once(world: World) -> None:
    await world.make_bot()
    customer = await world.make_customer()
    first, second = await world.alert(), await world.alert()
    assert first["signal_id"] != second["signal_id"]
    assert (second["successful_executions"], second["skipped_executions"]) == (0, 1)
    assert (await world.records(second["signal_id"]))[customer.user_id]["error_code"] == "duplicate"
    orders = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["orders"]
    assert sum(order["book"] == "order" for order in orders) == 1


async def test_a_change_of_a_bot_holds_at_the_gateway(world: World) -> None:
    await world.make_bot()
    await world.ask("PATCH", f"/api/v1/bots/{world.bot['bot_id']}", {"status": "paused"}, world.admin)
    body = {"ticker": "BTCUSDT", "action": "buy", "secret": "minha-senha-super-secreta"}
    async with asyncio.timeout(5):
        while True:
            status, answer = await world.call("POST", f"/api/v1/bots/webhook/master/{world.bot['path']}", body)
            if status == 400:
                break
            await asyncio.sleep(0.2)
    assert answer["code"] == "bot_not_active"


async def test_a_customer_sees_only_what_is_theirs(world: World) -> None:
    await world.make_bot()
    mine, other = await world.make_customer(), await world.make_customer()
    answer = await world.alert()
    records = await world.records(answer["signal_id"])
    seen = (await world.ask("GET", "/api/v1/executions", token=mine.token))["items"]
    assert {item["user_id"] for item in seen} == {mine.user_id}
    status, _ = await world.call("GET", f"/api/v1/executions/{records[other.user_id]['id']}", token=mine.token)
    assert status == 404
    status, _ = await world.call("GET", f"/api/v1/subscriptions/{other.subscription_id}", token=mine.token)
    assert status == 404


async def test_one_document_describes_the_whole_api(world: World) -> None:
    document = await world.ask("GET", "/openapi.json")
    assert {
        "/api/v1/bots/webhook/master/{webhook_path}",
        "/api/v1/bots",
        "/api/v1/subscriptions",
        "/api/v1/executions",
        "/api/v1/stream",
        "/api/v1/attention",
        "/api/v1/executions/{execution_id}/resolve",
    } <= set(document["paths"])


async def test_a_word_about_an_execution_reaches_the_registry_and_the_list_the_ledger(world: World) -> None:
    path = "/api/v1/executions/01980000-0000-7000-8000-000000000000"
    status, answer = await world.call("POST", f"{path}/resolve", {"outcome": "look_again"}, world.admin)
    assert (status, answer["outcome"]) == (202, "look_again")
    assert (await world.call("GET", path, token=world.admin))[0] == 404
    assert (await world.ask("GET", "/api/v1/attention", token=world.admin))["items"] == []


async def test_refusals_that_nobody_foresaw_stop_entries_until_an_administrator_allows_them(world: World) -> None:
    await world.make_bot()
    customers = [await world.make_customer() for _ in range(3)]
    await world.paper(
        "POST",
        "/paper/faults",
        {"match": {"path": "/fapi/v1/algoOrder", "method": "POST"}, "kind": "error", "code": -4120, "times": 100},
    )
    await world.alert()
    stops = "/api/v1/stops"
    async with asyncio.timeout(10):
        while not (items := (await world.ask("GET", stops, token=world.admin))["items"]):
            await asyncio.sleep(0.1)
    [stop] = items
    assert (stop["environment"], stop["market_type"], stop["exchange_code"]) == ("paper", "futures", -4120)
    await asyncio.sleep(1)  # every executor has heard
    skipped = await world.alert(duplicate="no")
    assert (skipped["skipped_executions"], skipped["successful_executions"]) == (3, 0)
    assert {record["error_code"] for record in (await world.records(skipped["signal_id"])).values()} == {"stopped"}

    await world.paper("DELETE", "/paper/faults")
    await world.ask("POST", f"{stops}/{stop['id']}/allow", token=world.admin)
    async with asyncio.timeout(10):
        while not (await world.ask("GET", stops, token=world.admin))["items"][0]["allowed_at"]:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    again = await world.alert(duplicate="neither")
    assert again["successful_executions"] == 3
    for customer in customers:
        assert set((await world.exchange(customer))[1]) == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}
