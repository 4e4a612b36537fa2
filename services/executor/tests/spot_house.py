"""What a spot customer's account holds at the paper exchange, and what they do by hand."""

from decimal import Decimal
from typing import Any

from ccxt.async_support.binance import binance

from services.executor.tests.conftest import SYMBOL, Customer, House
from shared.contracts import ExecutionFinished

FEE = Decimal("0.001")


async def trade(house: House, action: str, customer: Customer, **options: Any) -> ExecutionFinished:
    """One signal of a spot bot, to its end."""
    return await house.trade(action, customer, market_type="spot", **options)


async def wallet(house: House, customer: Customer) -> Any:
    """The spot half of the account."""
    return (await house.paper.state(customer.api_key))["spot"]


async def total(house: House, customer: Customer, asset: str = "BTC") -> Decimal:
    """Free and locked together."""
    rows = (await wallet(house, customer))["balances"]
    return sum((Decimal(r["free"]) + Decimal(r["locked"]) for r in rows if r["asset"] == asset), Decimal(0))


async def legs(house: House, customer: Customer, symbol: str = SYMBOL) -> dict[str, tuple[Decimal, Decimal]]:
    """Type → trigger price and quantity of what waits for its trigger."""
    rows = (await wallet(house, customer))["open_orders"]
    mine = [row for row in rows if row["symbol"] == symbol]
    return {row["type"]: (Decimal(row["stopPrice"]), Decimal(row["origQty"])) for row in mine}


async def filled(house: House, customer: Customer, side: str) -> list[dict[str, Any]]:
    """Every order of a side that filled, in part or wholly."""
    rows = (await wallet(house, customer))["orders"]
    return [row for row in rows if row["side"] == side and Decimal(row["executedQty"])]


async def by_hand(house: House, customer: Customer, method: str, **fields: str) -> Any:
    """The customer calls the exchange themselves, with plain ccxt."""
    credentials = house.opener.open(customer.sealed, customer.account_id)
    client = binance(
        {
            "apiKey": credentials.api_key.get_secret_value(),
            "secret": credentials.api_secret.get_secret_value(),
            "urls": {"api": dict.fromkeys(("public", "private"), house.paper.url + "/api/v3")},
        }
    )
    try:
        return await getattr(client, method)({"symbol": SYMBOL} | fields)
    finally:
        await client.close()


async def buy_by_hand(house: House, customer: Customer, quantity: str) -> None:
    """What is the customer's own from then on."""
    await by_hand(house, customer, "privatePostOrder", side="BUY", type="MARKET", quantity=quantity)


async def assert_sold_once(house: House, customer: Customer, quantity: str) -> None:
    """Whatever happened, so much was sold and no more, and nothing is left to sell again."""
    sold = sum((Decimal(row["executedQty"]) for row in await filled(house, customer, "SELL")), Decimal(0))
    assert sold == Decimal(quantity)
    assert await legs(house, customer) == {}
