"""What a spot customer gets for a signal: the real runner and store against the paper exchange, on both databases."""

from decimal import Decimal

from services.executor.tests.conftest import House
from services.executor.tests.spot_house import legs, total, trade, wallet


async def test_a_buy_spends_the_margin_and_is_protected_by_one_order_list(house: House) -> None:
    customer = await house.customer(balance_usdt=1000)
    done = await trade(house, "buy", customer)
    assert (done.status, done.error_message) == ("success", None)
    # 100 USD at 95234.50 buy 0.00105; the fee of a thousandth is taken of it, and 0.00104895 can be sold as 0.00104
    assert (done.executed_quantity, done.executed_price) == (Decimal("0.00105"), Decimal("95234.50"))
    assert await total(house, customer) == Decimal("0.00104895")
    assert await total(house, customer, "USDT") == 1000 - Decimal("0.00105") * Decimal("95234.50")
    assert (done.stop_loss_price, done.take_profit_price) == (Decimal("92853.64"), Decimal("99996.22"))
    assert await legs(house, customer) == {
        "STOP_LOSS": (Decimal("92853.64"), Decimal("0.00104")),
        "TAKE_PROFIT": (Decimal("99996.22"), Decimal("0.00104")),
    }
    [opened] = house.opened()
    assert (opened.side, opened.quantity, opened.entry_price) == ("long", Decimal("0.00104"), Decimal("95234.50"))
    orders = {str(row["orderId"]) for row in (await wallet(house, customer))["orders"]}
    assert {done.exchange_order_id, done.stop_loss_order_id, done.take_profit_order_id} == orders
    assert done.naked_ms is not None


async def test_leverage_is_ignored(house: House) -> None:
    customer = await house.customer()
    done = await trade(house, "buy", customer, leverage=20)
    assert done.executed_quantity == Decimal("0.00105")
