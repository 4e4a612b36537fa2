"""A spot bot from the alert to the profit, through the doors that users have, in both shapes."""

import asyncio
from decimal import Decimal
from typing import Any

from tests.system.conftest import Customer, World

SPENT, BOUGHT, SELLABLE = Decimal("99.996225"), Decimal("0.00105"), Decimal("0.00104")


async def wallet(world: World, customer: Customer) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Balance per asset, free and locked, and trigger price per protection."""
    spot: Any = (await world.paper("GET", f"/paper/accounts/{customer.api_key}"))["spot"]
    balances = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in spot["balances"]}
    return balances, {row["type"]: Decimal(row["stopPrice"]) for row in spot["open_orders"]}


async def test_a_spot_alert_buys_protects_by_an_order_list_and_its_target_closes_with_profit(world: World) -> None:
    await world.make_bot(market_type="spot", default_leverage=10)
    customer = await world.make_customer(balance=1000)

    answer = await world.alert(ticker="BINANCE:BTCUSDT")

    assert answer["successful_executions"] == 1
    record = (await world.records(answer["signal_id"]))[customer.user_id]
    assert (Decimal(record["executed_quantity"]), Decimal(record["executed_price"])) == (BOUGHT, Decimal("95234.50"))
    assert all(record[name] for name in ("exchange_order_id", "stop_loss_order_id", "take_profit_order_id"))
    balances, protections = await wallet(world, customer)
    assert balances == {"USDT": 1000 - SPENT, "BTC": BOUGHT * Decimal("0.999")}
    assert protections == {
        "STOP_LOSS": Decimal(record["stop_loss_price"]),
        "TAKE_PROFIT": Decimal(record["take_profit_price"]),
    }
    [position] = (await world.ask("GET", "/api/v1/positions?status=open", token=customer.token))["items"]
    assert (position["side"], Decimal(position["quantity"])) == ("long", SELLABLE)

    await world.paper("PUT", "/paper/prices/BTCUSDT", {"price": "100000"})

    async with asyncio.timeout(10):
        while not (items := (await world.ask("GET", "/api/v1/positions?status=closed", token=customer.token))["items"]):
            await asyncio.sleep(0.1)
    balances, protections = await wallet(world, customer)
    assert (items[0]["close_reason"], protections) == ("take_profit", {})
    assert balances["BTC"] == BOUGHT * Decimal("0.999") - SELLABLE, "only dust is left"
    sold_for = balances["USDT"] - (1000 - SPENT)
    cost = SPENT * SELLABLE / (BOUGHT * Decimal("0.999"))
    assert abs(Decimal(items[0]["realized_pnl_usd"]) - (sold_for - cost)) < Decimal("1E-12")
    assert Decimal(items[0]["realized_pnl_usd"]) > 0


async def test_a_sell_on_spot_closes_and_never_sells_short(world: World) -> None:
    await world.make_bot(market_type="spot")
    customer = await world.make_customer()
    nothing = await world.alert(action="sell")
    assert (await world.records(nothing["signal_id"]))[customer.user_id]["error_code"] == "nothing_to_close"
    await world.alert()
    answer = await world.alert(action="sell", price=95235)
    assert (await world.records(answer["signal_id"]))[customer.user_id]["status"] == "success"
    balances, protections = await wallet(world, customer)
    assert (balances["BTC"], protections) == (BOUGHT * Decimal("0.999") - SELLABLE, {})
