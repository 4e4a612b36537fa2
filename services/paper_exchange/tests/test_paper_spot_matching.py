"""The spot engine by itself: what must hold after any sequence of orders, cancels and price moves."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.paper_exchange.books import Books, read_book
from services.paper_exchange.errors import Refused
from services.paper_exchange.futures.model import Account as FuturesAccount
from services.paper_exchange.keyring import Key
from services.paper_exchange.spot import lists, matching
from services.paper_exchange.spot.model import ZERO, Account, Market, Order
from services.paper_exchange.spot.moves import settle
from services.paper_exchange.spot.rules import money
from services.paper_exchange.spot.symbols import FEE, QUOTE
from services.paper_exchange.store import HOLDING, Holding

BTC, BASE = "BTCUSDT", "BTC"
DEPOSIT, START = Decimal(10_000), Decimal(95_000)
Step = tuple[Any, ...]


def a_market(wallet: Decimal = DEPOSIT) -> tuple[Market, Account]:
    market, account = Market({BTC: START}, Books()), Account("key", 0, {QUOTE: wallet})
    market.add(account)
    return market, account


def buy(quantity: str, **more: str) -> dict[str, str]:
    return {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": quantity, **more}


def sell(quantity: str, **more: str) -> dict[str, str]:
    return buy(quantity, **more) | {"side": "SELL"}


def limit(side: str, quantity: str, price: str, **more: str) -> dict[str, str]:
    return buy(quantity) | {"side": side, "type": "LIMIT", "price": price, "timeInForce": "GTC", **more}


def stop(side: str, kind: str, quantity: str, at: str, **more: str) -> dict[str, str]:
    return buy(quantity) | {"side": side, "type": kind, "stopPrice": at, **more}


def oco(quantity: str, target: str, loss: str, **more: str) -> dict[str, str]:
    legs = {"aboveType": "TAKE_PROFIT", "aboveStopPrice": target, "belowType": "STOP_LOSS", "belowStopPrice": loss}
    return {"symbol": BTC, "side": "SELL", "quantity": quantity, **legs, **more}


def go(market: Market, price: str) -> None:
    before, market.prices[BTC] = market.prices[BTC], Decimal(price)
    list(settle(market, BTC, before, 1))


def place(market: Market, account: Account, params: dict[str, str]) -> Order:
    return matching.place(market, account, params, 1)


def refused(call: Any, *args: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        call(*args, 1)
    return refusal.value.code, refusal.value.message


# Few prices and large quantities, so that orders meet the market, each other's money and each other's coins.
prices = st.sampled_from(["88000", "91000", "94000", "94999.99", "95000.01", "96000", "99000", "103000"])
quantities = st.sampled_from(["0.0001", "0.00999", "0.02", "0.024", "0.03", "0.04995"])
sides = st.sampled_from(["BUY", "SELL"])
steps = st.one_of(
    st.tuples(st.just("market"), sides, quantities),
    st.tuples(st.just("spend"), sides, st.sampled_from(["6", "1000", "2600", "5000"])),
    st.tuples(st.just("limit"), sides, quantities, prices, st.sampled_from(["GTC", "IOC", "FOK"])),
    st.tuples(st.just("maker"), sides, quantities, prices),
    st.tuples(st.just("stop"), sides, st.sampled_from(["STOP_LOSS", "TAKE_PROFIT"]), quantities, prices),
    st.tuples(st.just("stop limit"), sides, quantities, prices, prices),
    st.tuples(st.just("oco"), quantities, prices, prices),
    st.tuples(st.just("buy oco"), quantities, prices, prices),
    st.tuples(st.just("cancel"), st.integers(0, 4)),
    st.tuples(st.just("thin"), sides, st.sampled_from([0, 40, 100]), st.integers(0, 5)),
    st.tuples(st.just("move"), prices),
)


def run(market: Market, account: Account, step: Step) -> None:
    match step:
        case ("cancel", which):
            for order in list(account.open_orders.values())[which : which + 1]:
                matching.cancel(account, {"orderId": str(order.id)}, BTC, 1, "c")
        case ("thin", side, share, worse):
            fills = [{"share_pct": share, "worse_pct": worse}]
            market.books.books.append(read_book(BTC, {"fills": fills, "side": side}))
        case ("move", price):
            go(market, price)
        case ("oco", *_) | ("buy oco", *_):
            lists.place_oco(market, account, order_of(step), 1)
        case _:
            place(market, account, order_of(step))


def order_of(step: Step) -> dict[str, str]:
    """The parameters of a step that places something."""
    match step:
        case ("market", side, quantity):
            return buy(quantity) | {"side": side}
        case ("spend", side, quote):
            return {"symbol": BTC, "side": side, "type": "MARKET", "quoteOrderQty": quote}
        case ("limit", side, quantity, price, tif):
            return limit(side, quantity, price, timeInForce=tif)
        case ("maker", side, quantity, price):
            return buy(quantity) | {"side": side, "type": "LIMIT_MAKER", "price": price}
        case ("stop", side, kind, quantity, price):
            return stop(side, kind, quantity, price)
        case ("stop limit", side, quantity, price, at):
            return limit(side, quantity, price, type="STOP_LOSS_LIMIT", stopPrice=at)
        case ("oco", quantity, target, loss):
            return oco(quantity, target, loss)
    _, quantity, loss, target = step
    legs = {"aboveType": "STOP_LOSS", "aboveStopPrice": loss, "belowType": "LIMIT_MAKER", "belowPrice": target}
    return {"symbol": BTC, "side": "BUY", "quantity": quantity, **legs}


def check(account: Account) -> None:
    """What is true of an account at any time."""
    trades = [trade for rows in account.trades.values() for trade in rows]
    bought, sold = ([t for t in trades if t.side == side] for side in ("BUY", "SELL"))
    assert account.total(BASE) == sum((t.quantity - t.fee for t in bought), ZERO) - sum(
        (t.quantity for t in sold), ZERO
    )
    received = sum((t.quote - t.fee for t in sold), ZERO)
    assert account.total(QUOTE) == DEPOSIT + received - sum((t.quote for t in bought), ZERO)
    for asset in (BASE, QUOTE):
        assert 0 <= account.free(asset) <= account.total(asset)
        assert account.locked(asset) >= 0
    for order in account.orders.values():
        fills = account.trades.get(order.id, [])
        assert order.executed == sum((t.quantity for t in fills), ZERO) <= order.quantity
        assert (order.status == "FILLED") == (order.executed == order.quantity)
        assert (order.id in account.open_orders) == (order.status == "NEW")
        assert not order.quote_quantity or order.cum_quote <= order.quote_quantity
    for row in account.lists.values():
        legs = [account.orders[order_id] for order_id in row.order_ids]
        assert sum(bool(leg.executed) for leg in legs) <= 1
        assert row.done == (row.id not in account.open_lists) == all(leg.status != "NEW" for leg in legs)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, min_size=10, max_size=30))
def test_nothing_is_spent_or_sold_twice_whatever_happens(script: list[Step]) -> None:
    market, account = a_market()
    place(market, account, buy("0.05"))
    for step in script:
        with suppress(Refused):
            run(market, account, step)
        check(account)


@settings(max_examples=50, deadline=None)
@given(st.lists(steps, max_size=15))
def test_a_snapshot_holds_everything(script: list[Step]) -> None:
    market, account = a_market()
    for step in script:
        with suppress(Refused):
            run(market, account, step)
    saved = HOLDING.dump_json(Holding(Key("key", "secret", 0), FuturesAccount("key", ZERO, 0), account))
    again = HOLDING.validate_json(saved).spot
    assert again == account
    assert again is not None
    assert (again.open_orders.keys(), again.open_lists.keys()) == (
        account.open_orders.keys(),
        account.open_lists.keys(),
    )
    assert (again.free(QUOTE), again.free(BASE)) == (account.free(QUOTE), account.free(BASE))


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=5, max_size=20))
def test_the_stream_tells_the_whole_story(script: list[Step]) -> None:
    market, account = a_market()
    account.outbox = []
    place(market, account, buy("0.05"))
    for step in script:
        with suppress(Refused):
            run(market, account, step)
    told: dict[str, dict[Any, Any]]
    told = {"executionReport": {}, "listStatus": {}, "outboundAccountPosition": {}}  # the last word on each
    for event in account.outbox:
        if event["e"] == "outboundAccountPosition":
            told[event["e"]] |= {row["a"]: (row["f"], row["l"]) for row in event["B"]}
        else:
            told[event["e"]][event["i"] if "i" in event else event["g"]] = event
    for asset in (BASE, QUOTE):
        balance = told["outboundAccountPosition"][asset]
        assert balance == (money(account.free(asset)), money(account.locked(asset)))
    reports = told["executionReport"]
    assert reports.keys() == account.orders.keys()
    for order in account.orders.values():
        report = reports[order.id]
        assert (report["X"], report["z"], report["Z"]) == (order.status, money(order.executed), money(order.cum_quote))
        assert report["w"] == (order.id in account.open_orders and not order.is_waiting)
    ends = {row.id: "ALL_DONE" if row.done else "EXECUTING" for row in account.lists.values()}
    assert {list_id: event["L"] for list_id, event in told["listStatus"].items()} == ends


def test_fees_are_taken_from_what_is_received() -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    assert (account.total(BASE), account.total(QUOTE)) == (Decimal("0.00999"), DEPOSIT - 950)
    place(market, account, sell("0.00999"))
    assert account.totals == {BASE: 0, QUOTE: DEPOSIT - 950 + Decimal("949.05") * (1 - FEE)}


def test_the_dust_below_a_step_stays() -> None:
    market, account = a_market()
    order = place(market, account, {"symbol": BTC, "side": "BUY", "type": "MARKET", "quoteOrderQty": "1000"})
    assert (order.quantity, order.cum_quote) == (Decimal("0.01052"), Decimal("999.40"))
    assert account.total(BASE) == Decimal("0.01050948")
    assert refused(matching.place, market, account, sell("0.01050948")) == (-1013, "Filter failure: LOT_SIZE")
    place(market, account, sell("0.01050"))
    assert account.total(BASE) == Decimal("0.00000948")


def test_what_an_order_locks_nobody_else_can_use() -> None:
    market, account = a_market()
    place(market, account, limit("BUY", "0.1", "90000"))
    assert (account.free(QUOTE), account.locked(QUOTE)) == (Decimal(1000), Decimal(9000))
    assert refused(matching.place, market, account, buy("0.02"))[0] == -2010
    place(market, account, buy("0.01"))
    assert account.free(QUOTE) == 50


def test_both_orders_of_a_list_lock_the_base_once() -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    row = lists.place_oco(market, account, oco("0.00999", "99000", "93000"), 1)
    assert (account.locked(BASE), account.free(BASE)) == (Decimal("0.00999"), ZERO)
    assert refused(lists.place_oco, market, account, oco("0.00100", "99000", "93000")) == (-2010, matching.POOR)
    lists.cancel(account, {"symbol": BTC, "orderListId": str(row.id)}, 1, "c")
    assert account.free(BASE) == Decimal("0.00999")


@pytest.mark.parametrize(("price", "filled"), [("92000", 0), ("100000", 1)])
def test_one_leg_that_is_reached_expires_the_other(price: str, filled: int) -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    row = lists.place_oco(market, account, oco("0.00999", "99000", "93000"), 1)
    go(market, price)
    legs = [account.orders[order_id] for order_id in row.order_ids]  # the stop first
    assert (legs[filled].status, legs[filled].cum_quote) == ("FILLED", Decimal("0.00999") * Decimal(price))
    assert (legs[1 - filled].status, legs[1 - filled].expiry_reason) == ("EXPIRED", "OCO_TRIGGER")
    assert (row.done, account.total(BASE)) == (True, ZERO)


def test_a_stop_limit_leg_rests_after_its_trigger_until_its_price_is_there() -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "99000", "belowType": "STOP_LOSS_LIMIT"}
    legs |= {"belowStopPrice": "93000", "belowPrice": "92500", "belowTimeInForce": "GTC"}
    row = lists.place_oco(market, account, {"symbol": BTC, "side": "SELL", "quantity": "0.00999", **legs}, 1)
    go(market, "91000")
    stopped, target = (account.orders[order_id] for order_id in row.order_ids)
    assert (stopped.status, stopped.working_ms, target.status, row.done) == ("NEW", 1, "EXPIRED", False)
    assert account.locked(BASE) == Decimal("0.00999")
    go(market, "92600")
    assert (stopped.status, stopped.cum_quote, row.done) == ("FILLED", Decimal("924.07500"), True)


def test_a_limit_maker_leg_that_fills_expires_the_stop() -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "99000", "belowType": "STOP_LOSS", "belowStopPrice": "93000"}
    row = lists.place_oco(market, account, {"symbol": BTC, "side": "SELL", "quantity": "0.00999", **legs}, 1)
    go(market, "99500")
    stopped, target = (account.orders[order_id] for order_id in row.order_ids)
    assert (target.status, target.cum_quote / target.executed, stopped.status) == ("FILLED", Decimal(99000), "EXPIRED")
    assert account.trades[target.id][0].maker is True


def test_cancelling_one_leg_cancels_the_list() -> None:
    market, account = a_market()
    place(market, account, buy("0.01"))
    row = lists.place_oco(market, account, oco("0.00999", "99000", "93000"), 1)
    matching.cancel(account, {"orderId": str(row.order_ids[1])}, BTC, 1, "c")
    assert {account.orders[order_id].status for order_id in row.order_ids} == {"CANCELED"}
    assert row.done


def test_a_jump_fills_what_a_walking_price_would_have_met_first() -> None:
    market, account = a_market()
    place(market, account, buy("0.02"))
    near = place(market, account, stop("SELL", "STOP_LOSS", "0.01", "94000"))
    far = place(market, account, stop("SELL", "STOP_LOSS", "0.00998", "93000"))
    go(market, "92000")
    trades = [account.trades[order.id][0] for order in (near, far)]
    assert [trade.price for trade in trades] == [92000, 92000]
    assert trades[0].id < trades[1].id


def test_a_buy_stop_that_the_jump_made_too_dear_expires() -> None:
    market, account = a_market()
    order = place(market, account, stop("BUY", "STOP_LOSS", "0.104", "96000"))
    go(market, "97000")
    assert (order.status, order.expiry_reason, order.executed) == ("EXPIRED", "REJECTED", ZERO)
    assert account.free(QUOTE) == DEPOSIT


def test_a_limit_order_beyond_the_market_fills_at_the_market() -> None:
    market, account = a_market()
    order = place(market, account, limit("BUY", "0.01", "96000"))
    assert (order.status, order.cum_quote, account.trades[order.id][0].maker) == ("FILLED", Decimal(950), False)


@pytest.mark.parametrize(
    ("tif", "reason"), [("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", "UNFILLED_FOK_ORDER_EXPIRED")]
)
def test_what_may_not_rest_expires(tif: str, reason: str) -> None:
    market, account = a_market()
    order = place(market, account, limit("BUY", "0.01", "94000", timeInForce=tif))
    assert (order.status, order.expiry_reason, account.free(QUOTE)) == ("EXPIRED", reason, DEPOSIT)


def test_a_thin_book_fills_a_part_and_the_rest_expires() -> None:
    market, account = a_market()
    fills = [{"share_pct": 30}, {"share_pct": 20, "worse_pct": 1}]
    market.books.books.append(read_book(BTC, {"fills": fills, "market": "spot"}))
    order = place(market, account, buy("0.01"))
    assert (order.status, order.executed, order.expiry_reason) == (
        "EXPIRED",
        Decimal("0.005"),
        "INSUFFICIENT_LIQUIDITY",
    )
    assert [trade.price for trade in account.trades[order.id]] == [95000, 95950]
    assert place(market, account, buy("0.01")).status == "FILLED"


def test_a_thin_book_never_spends_more_than_was_said() -> None:
    market, account = a_market()
    market.books.books.append(read_book(BTC, {"fills": [{"share_pct": 100, "worse_pct": 10}]}))
    order = place(market, account, {"symbol": BTC, "side": "BUY", "type": "MARKET", "quoteOrderQty": "1000"})
    assert (order.status, order.executed, order.cum_quote) == ("EXPIRED", Decimal("0.00956"), Decimal("999.02"))


def test_an_open_orders_id_is_taken_and_a_filled_ones_is_not() -> None:
    market, account = a_market()
    place(market, account, limit("BUY", "0.01", "90000", newClientOrderId="x"))
    duplicate = (-2010, "Duplicate order sent.")
    assert refused(matching.place, market, account, limit("BUY", "0.01", "90000", newClientOrderId="x")) == duplicate
    go(market, "90000")
    place(market, account, buy("0.01", newClientOrderId="x"))
    assert account.total(BASE) == Decimal("0.01998")
    lists.place_oco(market, account, oco("0.001", "94000", "85000", listClientOrderId="l"), 1)
    again = oco("0.001", "94000", "85000", listClientOrderId="l")
    assert refused(lists.place_oco, market, account, again) == duplicate
    again = oco("0.001", "94000", "85000", aboveClientOrderId="y", belowClientOrderId="y")
    assert refused(lists.place_oco, market, account, again) == duplicate
