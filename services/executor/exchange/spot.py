"""Binance Spot: the calls that trading needs, for any customer. Source: binance-spot-api-docs, rest-api.md."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.executor import profit
from services.executor.exchange.budget import Limits, limits_of
from services.executor.exchange.client import DOLLARS, Client, Failed, NotInDollars, UnknownSymbol
from services.executor.exchange.egress import Egress
from services.executor.exchange.market_data import MarketData
from services.executor.orders import (
    Balance,
    CancelProtection,
    Fill,
    Funds,
    Intent,
    MarketOrder,
    Oco,
    Order,
    Position,
    Protection,
    SymbolRules,
)
from services.executor.outcomes import Answer, NoAnswer
from services.executor.state import Moved, Released
from services.executor.verdict import Reading
from shared.clock import Clock
from shared.contracts import CloseReason, MarketType
from shared.money import floor_to, plain
from shared.sealing import Credentials

_PREFIXES = {"public": "/api/v3", "private": "/api/v3"}
_LIMITS = Limits(weight=6_000, orders={10_000: 100, 86_400_000: 200_000})  # until the exchange tells its own
_PRICE_UNIT = Decimal("1E-12")  # an average price is a quotient and has no end of its own
_UNKNOWN_ORDER, _NO_SUCH_ORDER, _ARCHIVED = -2011, -2013, -2026


@dataclass(frozen=True, slots=True)
class _Listing:
    """A symbol as exchangeInfo lists it."""

    rules: SymbolRules
    base: str
    quote: str
    is_trading: bool


class Spot:
    """Spot of one environment.

    Every method that takes credentials raises Failed, and nothing else, when the call does not succeed.
    """

    market: MarketType = "spot"

    def __init__(self, base_url: str, clock: Clock, egress: Egress, *, timeout_ms: int) -> None:
        """`timeout_ms`: how long one call may take before its outcome counts as unknown."""
        self._client = Client(
            base_url, _PREFIXES, "publicGetTime", clock, timeout_ms=timeout_ms, egress=egress, limits=_LIMITS
        )
        self._data = MarketData(self._read_listings, self._read_price, self._client.in_use)
        self.now_ms = self._client.now_ms
        self.know_clock = self._client.know_clock
        self.price = self._data.price

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open connections, and keep clock, limits and filters, for the length of the block."""
        async with self._client.running(), self._data.running():
            yield

    @property
    def is_paused(self) -> bool:
        """Whether the exchange asked to be left alone (429, 418)."""
        return self._client.governor.is_paused

    async def rules(self, symbol: str) -> SymbolRules:
        """The symbol's filters. Raises Failed, UnknownSymbol or NotInDollars."""
        listing = await self._data.rules(symbol)
        if not listing.is_trading:
            raise UnknownSymbol(symbol)
        if listing.quote not in DOLLARS:
            raise NotInDollars(symbol, listing.quote)
        return listing.rules

    async def _listed(self, symbol: str) -> _Listing:
        """A symbol that we hold, whether it is traded now or not. Raises Failed."""
        try:
            return await self._data.rules(symbol)
        except UnknownSymbol:
            raise Failed(NoAnswer(sent=False, message=f"{symbol} is not listed any more")) from None

    async def _read_listings(self) -> dict[str, _Listing]:
        """The filters of all symbols, and the limits: `GET /api/v3/exchangeInfo`, weight 20."""
        info = await self._client.call("publicGetExchangeInfo", {}, weight=20)
        governor = self._client.governor
        governor.limits = limits_of(info["rateLimits"], governor.limits)
        return {row["symbol"]: _listing(row) for row in info["symbols"]}

    async def price_now(self, symbol: str) -> Decimal:
        """The last price, read for this one asking. Raises Failed."""
        return await self._read_price(symbol)

    async def _read_price(self, symbol: str) -> Decimal:
        """The last price: `GET /api/v3/ticker/price`, weight 2."""
        return Decimal((await self._client.call("publicGetTickerPrice", {"symbol": symbol}, weight=2))["price"])

    async def funds(self, credentials: Credentials, symbol: str) -> Funds:
        """The account's balance of a symbol's base asset, and its fee: `GET /api/v3/account`, weight 20."""
        account = await self._account(credentials)
        rates = account["commissionRates"]
        _, held = _balance(account, (await self._listed(symbol)).base)
        return Funds(Balance(held, self.now_ms()), Decimal(rates["taker"]) + Decimal(rates["buyer"]))

    async def _account(self, credentials: Credentials) -> dict[str, Any]:
        account: dict[str, Any] = await self._client.call(
            "privateGetAccount", {"omitZeroBalances": "true"}, credentials, weight=20
        )
        return account

    async def place(self, credentials: Credentials, order: MarketOrder, intent: Intent) -> Order:
        """`POST /api/v3/order`, weight 0 when it succeeds."""
        spend, quantity = order.spend, order.quantity
        amount = {"quantity": plain(quantity)} if spend is None else {"quoteOrderQty": plain(spend)}
        fields = {
            "symbol": order.symbol,
            "side": order.side,
            "type": "MARKET",
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "FULL",
        } | amount
        with self._data.doubted():
            row = await self._client.call("privatePostOrder", fields | _stamp(intent), credentials, weight=0)
        base = (await self._listed(order.symbol)).base
        fee = sum((Decimal(f["commission"]) for f in row["fills"] if f["commissionAsset"] == base), Decimal(0))
        return _order(row, fee if order.side == "BUY" else Decimal(0))

    async def find(self, credentials: Credentials, symbol: str, client_id: str) -> Order | None:
        """`GET /api/v3/order` by our name, weight 4, and 5 for the fee of a buy; null where it is not known."""
        fields = {"symbol": symbol, "origClientOrderId": client_id}
        try:
            row = await self._client.call("privateGetOrder", fields, credentials, weight=4)
        except Failed as error:
            if _is(error, _NO_SUCH_ORDER):
                return None
            if _is(error, _ARCHIVED):  # "Order was canceled or expired with no executed qty over 90 days ago"
                return Order("", "CANCELED", Decimal(0), None, 0)
            raise
        order = _order(row)
        if row["side"] != "BUY" or not order.executed_quantity:
            return order
        fills = await self.fills(credentials, symbol, order.order_id)
        if profit.traded(fills) != order.executed_quantity:
            raise Failed(NoAnswer(sent=True, message="the exchange does not tell all fills of the order yet"))
        base = (await self._listed(symbol)).base
        return _order(row, sum((fill.fee for fill in fills if fill.fee_asset == base), Decimal(0)))

    async def held_net(self, credentials: Credentials, moved: Moved, client_id: str) -> Decimal:
        """What the account holds of the base asset, less what orders other than this one did since it was read.

        The order may hide from queries while its fills show: so every order that filled is asked for its name.
        Weight 40, and 4 for each of those.
        """
        symbol, since_ms = moved.order.symbol, moved.since_ms or 0
        base = (await self._listed(symbol)).base
        fills = await self._trades(credentials, {"symbol": symbol, "startTime": str(since_ms), "limit": "1000"})
        others = Decimal(0)
        for order_id in {fill.order_id for fill in fills}:
            row = await self._client.call(
                "privateGetOrder", {"symbol": symbol, "orderId": order_id}, credentials, weight=4
            )
            if row["clientOrderId"] != client_id and order_id not in moved.order.earlier_order_ids:
                others += sum((_change(fill, base) for fill in fills if fill.order_id == order_id), Decimal(0))
        _, held = _balance(await self._account(credentials), base)
        return held - others

    async def protect(self, credentials: Credentials, protection: Protection | Oco, intent: Intent) -> tuple[str, ...]:
        """`POST /api/v3/order` or `/orderList/oco`, weight 0 when it succeeds; market orders at the last price."""
        if isinstance(protection, Protection):
            fields = {
                "symbol": protection.symbol,
                "side": protection.side,
                "type": _kind(protection),
                "quantity": plain(protection.quantity or Decimal(0)),
                "stopPrice": plain(protection.trigger),
                "newClientOrderId": protection.client_id,
                "newOrderRespType": "RESULT",
            }
            with self._data.doubted():
                row = await self._client.call("privatePostOrder", fields | _stamp(intent), credentials, weight=0)
            return (str(row["orderId"]),)
        stop, target = protection.stop, protection.target
        fields = {
            "symbol": protection.symbol,
            "side": stop.side,
            "quantity": plain(stop.quantity or Decimal(0)),
            "listClientOrderId": protection.client_id,
            "aboveType": _kind(target),
            "aboveStopPrice": plain(target.trigger),
            "aboveClientOrderId": target.client_id,
            "belowType": _kind(stop),
            "belowStopPrice": plain(stop.trigger),
            "belowClientOrderId": stop.client_id,
            "newOrderRespType": "RESULT",
        }
        with self._data.doubted():
            row = await self._client.call("privatePostOrderListOco", fields | _stamp(intent), credentials, weight=0)
        ids = {leg["clientOrderId"]: str(leg["orderId"]) for leg in row["orders"]}
        return ids[stop.client_id], ids[target.client_id]

    async def standing(self, credentials: Credentials, symbol: str, *client_ids: str) -> tuple[str, ...]:
        """The legs' order ids if one waits for its trigger or has sold; nothing where all were cancelled unfilled."""
        legs = [await self.find(credentials, symbol, name) for name in client_ids]
        known = [leg for leg in legs if leg is not None]
        alive = any(not leg.is_final or leg.executed_quantity for leg in known)
        return tuple(leg.order_id for leg in known) if alive and len(known) == len(legs) else ()

    async def open_protections(self, credentials: Credentials, symbol: str) -> dict[str, str]:
        """Client id → order id of the account's open orders of a symbol: `GET /api/v3/openOrders`, weight 6."""
        rows = await self._client.call("privateGetOpenOrders", {"symbol": symbol}, credentials, weight=6)
        return {row["clientOrderId"]: str(row["orderId"]) for row in rows}

    async def cancel_protection(self, credentials: Credentials, step: CancelProtection) -> None:
        """`DELETE /api/v3/order`, weight 0 when it succeeds; for a leg, the whole order list."""
        await self._cancel(credentials, step.symbol, step.client_id)

    async def _cancel(self, credentials: Credentials, symbol: str, client_id: str) -> dict[str, Order]:
        """What was cancelled, by client id: nothing where the order is not there (any more)."""
        fields = {"symbol": symbol, "origClientOrderId": client_id}
        try:
            # its reads must follow it: where there is no weight for them, or a pause, nothing is cancelled
            row = await self._client.call("privateDeleteOrder", fields, credentials, weight=1)
        except Failed as error:
            if _is(error, _UNKNOWN_ORDER):
                return {}
            raise
        return {leg["origClientOrderId"]: _order(leg) for leg in row.get("orderReports", [row])}

    async def release(self, credentials: Credentials, position: Position) -> Released:
        """Cancel a position's protections; what became of each, and what the account holds then. Weight 20 or 28.

        A refusal is raised only where nothing was done. Raises Failed.
        """
        asked_ms, told = self.now_ms(), {}
        for _, name in position.protections[:1]:  # cancelling one leg cancels the list
            told = await self._cancel(credentials, position.symbol, name)
        try:
            legs = [
                (why, told.get(name) or await self.find(credentials, position.symbol, name))
                for why, name in position.protections
            ]
            account, listing = await self._account(credentials), await self._listed(position.symbol)
        except Failed as error:
            raise Failed(NoAnswer(sent=True, message=f"cancelled, but not told what came of it: {error}")) from error
        free, held = _balance(account, listing.base)
        free = floor_to(free, listing.rules.quantity_step)
        return Released(tuple(legs), free, Balance(held, self.now_ms()), asked_ms)

    async def reading(self, credentials: Credentials, position: Position, beside: Sequence[Position]) -> Reading:
        """What the exchange says around a position. Weight 6; 20 more, and 4 for each protection that does not stand.

        The balance does not tell ours from the customer's own. While the protections stand they lock it, so it is
        there; else it is there as long as, beside our other positions, half of it is: fees and dust do not count.
        """
        standing = await self.open_protections(credentials, position.symbol)
        names = [name for _, name in position.protections]
        if names and all(name in standing for name in names):
            return Reading(position.quantity, frozenset(standing), ())
        legs = [
            (why, await self.find(credentials, position.symbol, name))
            for why, name in position.protections
            if name not in standing
        ]
        fired = tuple((why, order) for why, order in legs if order is not None)
        left = position.quantity - sum((order.executed_quantity for _, order in fired), Decimal(0))
        _, held = _balance(await self._account(credentials), (await self._listed(position.symbol)).base)
        for other in beside:
            if (await self._listed(other.symbol)).base == (await self._listed(position.symbol)).base:
                held -= other.quantity
        return Reading(left if 2 * held >= left else Decimal(0), frozenset(standing), fired)

    async def fired(self, credentials: Credentials, position: Position) -> dict[str, str]:
        """Client id → order id of protections that sold. Raises Failed, also while one may still be selling."""
        sold = {}
        for _, name in position.protections:
            order = await self.find(credentials, position.symbol, name)
            if order is not None and not order.is_final:
                raise Failed(NoAnswer(sent=True, message="the exchange does not say yet what a protection sold"))
            if order is not None and order.executed_quantity:
                sold[name] = order.order_id
        return sold

    async def closing(self, credentials: Credentials, position: Position) -> list[Fill]:
        """Sells of the symbol since the position was opened: `GET /api/v3/myTrades`, weight 20."""
        fields = {"symbol": position.symbol, "startTime": str(position.opened_at_ms), "limit": "1000"}
        return [fill for fill in await self._trades(credentials, fields) if fill.side == "SELL"]

    async def fills(self, credentials: Credentials, symbol: str, order_id: str) -> list[Fill]:
        """The fills of an order: `GET /api/v3/myTrades`, weight 5."""
        return await self._trades(credentials, {"symbol": symbol, "orderId": order_id})

    async def _trades(self, credentials: Credentials, fields: dict[str, str]) -> list[Fill]:
        weight = 5 if "orderId" in fields else 20
        rows = await self._client.call("privateGetMyTrades", fields, credentials, weight=weight)
        return [_fill(row) for row in rows]

    async def earned(
        self, position: Position, entry: Sequence[Fill], exits: Sequence[Fill]
    ) -> tuple[Decimal, Sequence[Fill]] | None:
        """Profit in dollars before the fees that were not taken of the coins themselves, and the fills with those."""
        listing = await self._listed(position.symbol)
        gross = profit.of_coins(entry, exits, listing.base, listing.rules.quantity_step)
        charged = [*(fill for fill in entry if fill.fee_asset != listing.base), *exits]
        return None if gross is None else (gross, charged)


def _is(error: Failed, code: int) -> bool:
    return isinstance(error.reply, Answer) and error.reply.code == code


def _stamp(intent: Intent) -> dict[str, str]:
    """P2: the intent's time stamp is the request's."""
    return {"timestamp": str(intent.stamp_ms), "recvWindow": str(intent.recv_window_ms)}


def _kind(protection: Protection) -> str:
    """The order type; both sell at market once the last price reaches the trigger."""
    return "STOP_LOSS" if protection.reason is CloseReason.STOP_LOSS else "TAKE_PROFIT"


def _order(row: Mapping[str, Any], fee: Decimal = Decimal(0)) -> Order:
    executed, spent = Decimal(row["executedQty"]), Decimal(row["cummulativeQuoteQty"])
    return Order(
        order_id=str(row["orderId"]),
        status=row["status"],
        executed_quantity=executed,
        average_price=(spent / executed).quantize(_PRICE_UNIT) if executed and spent > 0 else None,
        time_ms=int(row.get("transactTime") or row["updateTime"]),
        fee=fee,
    )


def _balance(account: Mapping[str, Any], asset: str) -> tuple[Decimal, Decimal]:
    """Free, and free and locked together."""
    for row in account["balances"]:
        if row["asset"] == asset:
            return Decimal(row["free"]), Decimal(row["free"]) + Decimal(row["locked"])
    return Decimal(0), Decimal(0)


def _change(fill: Fill, base: str) -> Decimal:
    """What a fill did to the balance of the base asset."""
    fee = fill.fee if fill.fee_asset == base else Decimal(0)
    return (fill.quantity if fill.side == "BUY" else -fill.quantity) - fee


def _fill(row: Mapping[str, Any]) -> Fill:
    return Fill(
        order_id=str(row["orderId"]),
        side="BUY" if row["isBuyer"] else "SELL",
        position_side="BOTH",
        price=Decimal(row["price"]),
        quantity=Decimal(row["qty"]),
        fee=Decimal(row["commission"]),
        fee_asset=row["commissionAsset"],
    )


def _listing(row: Mapping[str, Any]) -> _Listing:
    trading = row["status"] == "TRADING" and row["isSpotTradingAllowed"] and row["quoteOrderQtyMarketAllowed"]
    return _Listing(_rules(row), row["baseAsset"], row["quoteAsset"], trading)


def _rules(row: Mapping[str, Any]) -> SymbolRules:
    filters = {entry["filterType"]: entry for entry in row["filters"]}
    lot, market = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    notional = filters.get("NOTIONAL", {})
    algo = filters.get("MAX_NUM_ALGO_ORDERS")
    unit = Decimal(1).scaleb(-int(row["quoteAssetPrecision"]))
    return SymbolRules(
        symbol=row["symbol"],
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]) or unit,  # 0: the filter sets none
        quantity_step=max(Decimal(lot["stepSize"]), Decimal(market["stepSize"])),
        quantity_min=max(Decimal(lot["minQty"]), Decimal(market["minQty"])),
        quantity_max=min(Decimal(lot["maxQty"]), Decimal(market["maxQty"]) or Decimal(lot["maxQty"])),
        notional_min=Decimal((notional or filters.get("MIN_NOTIONAL", {})).get("minNotional", 0)),
        spend_step=unit,
        notional_max=Decimal(notional["maxNotional"]) if notional.get("applyMaxToMarket") else None,
        protections_max=int(algo["maxNumAlgoOrders"]) if algo else None,
        can_protect=row["ocoAllowed"] and {"STOP_LOSS", "TAKE_PROFIT"} <= set(row["orderTypes"]),
    )
