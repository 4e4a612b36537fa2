"""What spot orders are made of: amounts that are legal, never more than the margin, and profits to the cent. Pure."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from services.executor import profit, spending
from services.executor.orders import Fill, MarketOrder, Oco, Order, Protection, Purpose, SymbolRules
from services.executor.protecting import protections
from services.executor.sizing import can_be_protected
from services.executor.state import Trade
from services.executor.tests.machine_builders import work_of
from services.executor.why import Why
from shared.money import ceil_to, floor_to, plain
from shared.reasons import Reason

STEPS = st.integers(0, 8).map(lambda places: Decimal(1).scaleb(-places))
AMOUNTS = st.decimals("0.01", 100_000, places=2)
PRICES = st.decimals("0.0001", 200_000, places=4)
FEES = st.sampled_from([Decimal(0), Decimal("0.00075"), Decimal("0.001"), Decimal("0.006")])
PCTS = st.none() | st.decimals("0.1", 60, places=1)
CENT = Decimal("0.01")


@st.composite
def symbols(draw: st.DrawFn) -> SymbolRules:
    """The filters of any spot symbol."""
    step = draw(STEPS)
    least = step * draw(st.integers(1, 100))
    return SymbolRules(
        symbol="BTCUSDT",
        tick=draw(STEPS),
        quantity_step=step,
        quantity_min=least,
        quantity_max=least * draw(st.integers(10, 10**7)),
        notional_min=draw(st.sampled_from([Decimal(0), Decimal(1), Decimal(5), Decimal(10)])),
        notional_max=draw(st.none() | st.just(Decimal(9_000_000))),
    )


def is_legal(quantity: Decimal, rules: SymbolRules) -> bool:
    return rules.quantity_min <= quantity <= rules.quantity_max and quantity % rules.quantity_step == 0


@given(symbols(), AMOUNTS, PRICES, FEES, PCTS)
def test_a_buy_never_spends_more_than_the_margin_and_what_it_buys_can_be_sold_at_the_stop(
    rules: SymbolRules, margin: Decimal, price: Decimal, fee: Decimal, stop_pct: Any
) -> None:
    config = work_of(market_type="spot", margin_usd=margin, stop_loss_pct=stop_pct).job.config
    buy = spending.buy(config, price, rules, fee)
    if isinstance(buy, Why):
        assert buy.reason in (Reason.BELOW_MINIMUM, Reason.ABOVE_MAXIMUM)
        return
    assert 0 < buy.spend <= margin
    assert buy.spend % rules.spend_step == 0
    assert is_legal(buy.quantity, rules)
    assert buy.quantity * price <= buy.spend * (1 + Decimal("1E-20"))
    remains = floor_to(buy.quantity * (1 - fee), rules.quantity_step)
    assert is_legal(remains, rules)
    assert remains * price >= rules.notional_min
    if stop_pct:
        assert remains * price * (1 - stop_pct / 100) >= rules.notional_min or price <= 2 * rules.tick


@given(symbols(), PRICES, FEES, PCTS)
def test_the_margin_that_is_said_to_be_enough_is_enough(
    rules: SymbolRules, price: Decimal, fee: Decimal, stop_pct: Any
) -> None:
    config = work_of(market_type="spot", margin_usd=CENT, stop_loss_pct=stop_pct).job.config
    refusal = spending.buy(config, price, rules, fee)
    assume(isinstance(refusal, Why) and refusal.reason is Reason.BELOW_MINIMUM)
    assert isinstance(refusal, Why)
    said = Decimal(refusal.words.en.partition("a margin of about ")[2].partition(" ")[0])
    enough = config.model_copy(update={"margin_usd": said})
    answer = spending.buy(enough, price, rules, fee)
    assert not isinstance(answer, Why) or answer.reason is Reason.ABOVE_MAXIMUM


@given(symbols(), st.integers(1, 10**6), PRICES, FEES, PCTS, PCTS)
def test_the_order_list_is_legal_on_both_sides_of_the_fill_and_never_sells_more_than_was_bought(
    rules: SymbolRules, steps: int, price: Decimal, fee: Decimal, stop_pct: Any, target_pct: Any
) -> None:
    work = work_of(market_type="spot", stop_loss_pct=stop_pct, take_profit_pct=target_pct)
    price = ceil_to(price, rules.tick)
    assume(can_be_protected("long", price, work.job.config, rules))
    executed = rules.quantity_step * steps
    order = Order("1", "FILLED", executed, price, 0, fee=executed * fee)
    entry = MarketOrder(Purpose.ENTRY, "BTCUSDT", "BUY", "BOTH", executed, spend=executed * price)
    trade = Trade(rules=rules, position_id=UUID(int=1), entry=entry, order=order, price=price)
    sent = protections(work, entry, trade)
    assert len(sent) == (1 if stop_pct or target_pct else 0), "one order list, or one order: both lock the asset"
    for step in sent:
        legs = (step.stop, step.target) if isinstance(step, Oco) else (step,)
        for leg in legs:
            assert isinstance(leg, Protection)
            assert leg.quantity == trade.bought <= executed - order.fee
            assert trade.bought % rules.quantity_step == 0
            assert leg.trigger % rules.tick == 0
            assert "E" not in plain(leg.trigger)
        if isinstance(step, Oco):
            assert 0 < step.stop.trigger < price < step.target.trigger
            assert len({step.client_id, step.stop.client_id, step.target.client_id}) == 3
            assert len(step.client_id) <= 36


def fill(side: Any, price: str, quantity: str, fee: str, asset: str) -> Fill:
    return Fill("1", side, "BOTH", Decimal(price), Decimal(quantity), Decimal(fee), asset)


STEP = Decimal("0.01")


def test_the_profit_is_that_of_what_was_sold_and_dust_keeps_what_it_cost() -> None:
    entry = [fill("BUY", "100", "1.00", "0.001", "BTC")]
    assert profit.of_coins(entry, [fill("SELL", "111", "0.99", "0.1", "USDT")], "BTC", STEP) == Decimal(
        "109.89"
    ) - Decimal(100) * Decimal("0.99") / Decimal("0.999")


def test_a_fee_in_bnb_takes_nothing_of_the_coins_bought() -> None:
    entry = [fill("BUY", "100", "0.50", "0.0001", "BNB"), fill("BUY", "102", "0.50", "0.0001", "BNB")]
    assert profit.of_coins(entry, [fill("SELL", "110", "1.00", "0.1", "USDT")], "BTC", STEP) == 9


def test_there_is_no_figure_where_not_all_was_sold_by_these_orders() -> None:
    entry = [fill("BUY", "100", "1.00", "0.001", "BTC")]
    assert profit.of_coins(entry, [fill("SELL", "110", "0.50", "0", "USDT")], "BTC", STEP) is None
    assert profit.of_coins(entry, [fill("SELL", "110", "1.00", "0", "USDT")], "BTC", STEP) is None
    assert profit.of_coins(entry, [], "BTC", STEP) is None
