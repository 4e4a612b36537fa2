"""Binance USDⓈ-M Futures: the calls that trading needs, for any customer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from services.executor import profit
from services.executor.exchange.budget import Limits, limits_of
from services.executor.exchange.client import DOLLARS, Client, Failed, NotInDollars
from services.executor.exchange.egress import Egress
from services.executor.exchange.market_data import MarketData
from services.executor.orders import (
    Bracket,
    CancelProtection,
    Fill,
    Holding,
    Intent,
    MarketOrder,
    Oco,
    Order,
    Position,
    PositionSide,
    Protection,
    SetLeverage,
    SetMarginType,
    SymbolRules,
    closing_side,
)
from services.executor.outcomes import Answer
from services.executor.state import Moved
from services.executor.verdict import Reading
from shared.clock import Clock
from shared.contracts import CloseReason, MarginType, MarketType
from shared.money import common_step, plain
from shared.sealing import Credentials

_PREFIXES = {
    "fapiPublic": "/fapi/v1",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
}
_LIMITS = Limits(weight=2_400)  # mainnet's, until the exchange tells its own
_TRADES_WINDOW_MS = 7 * 86_400_000 - 60_000


class Futures:
    """USDⓈ-M Futures of one environment.

    Every method that takes credentials raises Failed, and nothing else, when the call does not succeed.
    """

    market: MarketType = "futures"

    def __init__(self, base_url: str, clock: Clock, egress: Egress, *, timeout_ms: int) -> None:
        """`timeout_ms`: how long one call may take before its outcome counts as unknown."""
        self._client = Client(
            base_url, _PREFIXES, "fapiPublicGetTime", clock, timeout_ms=timeout_ms, egress=egress, limits=_LIMITS
        )
        self._data = MarketData(self._read_rules, self._read_price, self._client.in_use)
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
        """The symbol's filters. Raises Failed, UnknownSymbol or NotInDollars (ETHBTC is a USDⓈ-M contract too)."""
        rules = await self._data.rules(symbol)
        if rules.quote not in DOLLARS:
            raise NotInDollars(symbol, rules.quote)
        return rules

    async def _read_rules(self) -> dict[str, SymbolRules]:
        """The filters of all symbols, and the limits: `GET /fapi/v1/exchangeInfo`."""
        info = await self._client.call("fapiPublicGetExchangeInfo", {}, weight=1)
        governor = self._client.governor
        governor.limits = limits_of(info["rateLimits"], governor.limits)
        return {row["symbol"]: _rules(row) for row in info["symbols"] if row["status"] == "TRADING"}

    async def _read_price(self, symbol: str) -> Decimal:
        """The mark price: `GET /fapi/v1/premiumIndex`."""
        row = await self._client.call("fapiPublicGetPremiumIndex", {"symbol": symbol}, weight=1)
        return Decimal(row["markPrice"])

    async def is_hedged(self, credentials: Credentials) -> bool:
        """Whether the account keeps long and short positions apart: `GET /fapi/v1/accountConfig`, weight 5."""
        return bool(
            (await self._client.call("fapiPrivateGetAccountConfig", {}, credentials, weight=5))["dualSidePosition"]
        )

    async def brackets(self, credentials: Credentials, symbol: str) -> tuple[Bracket, ...]:
        """What the account may hold of a symbol at which leverage: `GET /fapi/v1/leverageBracket`, weight 1.

        None where it is not offered: then Binance decides when it gets the order.
        """
        try:
            answer = await self._client.call("fapiPrivateGetLeverageBracket", {"symbol": symbol}, credentials, weight=1)
        except Failed as error:
            if not _is_gone(error):
                raise
            return ()
        row = answer[0] if isinstance(answer, list) else answer  # documented as an object, answered as a list
        factor = Decimal(str(row.get("notionalCoef", 1)))  # an account whose brackets were adjusted
        return tuple(
            Bracket(int(bracket["initialLeverage"]), Decimal(str(bracket["notionalCap"])) * factor)
            for bracket in row["brackets"]
        )

    async def holding(self, credentials: Credentials, symbol: str) -> Holding:
        """What the account holds of a symbol and how it trades it: `GET /fapi/v2/positionRisk`, weight 5.

        v3 tells neither leverage nor margin type, and symbolConfig, which does, weighs 5 more: both are asked where v2
        is not offered any more. Read for every entry: the customer may change leverage and type at any moment.
        """
        try:
            rows = await self._client.call("fapiPrivateV2GetPositionRisk", {"symbol": symbol}, credentials, weight=5)
        except Failed as error:
            if not _is_gone(error):
                raise
            held, [row] = await asyncio.gather(
                self.held(credentials, symbol),
                self._client.call("fapiPrivateGetSymbolConfig", {"symbol": symbol}, credentials, weight=5),
            )
            return Holding(held, int(row["leverage"]), _margin_type(row["marginType"]))
        held = tuple((row["symbol"], row["positionSide"], Decimal(row["positionAmt"])) for row in rows)
        if not rows:
            return Holding(held, None, None)
        return Holding(held, int(rows[0]["leverage"]), _margin_type(rows[0]["marginType"]))

    async def held(self, credentials: Credentials, symbol: str) -> tuple[tuple[str, PositionSide, Decimal], ...]:
        """What the account holds of a symbol, signed, per position side: `GET /fapi/v3/positionRisk`, weight 5."""
        rows = await self._client.call("fapiPrivateV3GetPositionRisk", {"symbol": symbol}, credentials, weight=5)
        return tuple((row["symbol"], row["positionSide"], Decimal(row["positionAmt"])) for row in rows)

    async def held_net(self, credentials: Credentials, moved: Moved, _client_id: str) -> Decimal:
        """What the account holds on the order's side, signed: `GET /fapi/v3/positionRisk`, weight 5."""
        held = await self.held(credentials, moved.order.symbol)
        return _amount(held, moved.order.symbol, moved.order.position_side)

    async def set_leverage(self, credentials: Credentials, step: SetLeverage) -> None:
        """`POST /fapi/v1/leverage`, weight 1."""
        await self._client.call(
            "fapiPrivatePostLeverage", {"symbol": step.symbol, "leverage": str(step.leverage)}, credentials, weight=1
        )

    async def set_margin_type(self, credentials: Credentials, step: SetMarginType) -> None:
        """`POST /fapi/v1/marginType`, weight 1; -4046 says that it is so already."""
        fields = {"symbol": step.symbol, "marginType": step.margin_type.upper()}
        try:
            await self._client.call("fapiPrivatePostMarginType", fields, credentials, weight=1)
        except Failed as error:
            if not _says(error, -4046):
                raise

    async def place(self, credentials: Credentials, order: MarketOrder, intent: Intent) -> Order:
        """`POST /fapi/v1/order`, weight 0. The answer has no average price since 2026-06-30."""
        fields = {
            "symbol": order.symbol,
            "side": order.side,
            "type": "MARKET",
            "quantity": plain(order.quantity),
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "RESULT",
        } | _position_side(order.position_side, reduce_only=order.reduce_only)
        with self._data.doubted():
            row = await self._client.call("fapiPrivatePostOrder", fields | _stamp(intent), credentials, weight=0)
        return _order(row)

    async def find(self, credentials: Credentials, symbol: str, client_id: str) -> Order | None:
        """`GET /fapi/v1/order` by our name, weight 1; null where the exchange does not know it (-2013)."""
        fields = {"symbol": symbol, "origClientOrderId": client_id}
        try:
            return _order(await self._client.call("fapiPrivateGetOrder", fields, credentials, weight=1))
        except Failed as error:
            if not _says(error, -2013):
                raise
            return None

    async def protect(self, credentials: Credentials, protection: Protection | Oco, intent: Intent) -> tuple[str, ...]:
        """`POST /fapi/v1/algoOrder`, weight 0; the algo order's id."""
        assert isinstance(protection, Protection), "futures have no order lists"
        kind = "STOP_MARKET" if protection.reason is CloseReason.STOP_LOSS else "TAKE_PROFIT_MARKET"
        fields = {
            "algoType": "CONDITIONAL",
            "symbol": protection.symbol,
            "side": protection.side,
            "type": kind,
            "triggerPrice": plain(protection.trigger),
            "workingType": protection.working_type.upper(),
            "clientAlgoId": protection.client_id,
        }
        if protection.price_protect:
            fields["priceProtect"] = "true"
        if protection.quantity is None:
            fields |= {"closePosition": "true"} | _position_side(protection.position_side, reduce_only=False)
        else:
            fields |= {"quantity": plain(protection.quantity)}
            fields |= _position_side(protection.position_side, reduce_only=True)
        with self._data.doubted():
            row = await self._client.call("fapiPrivatePostAlgoOrder", fields | _stamp(intent), credentials, weight=0)
        return (str(row["algoId"]),)

    async def standing(self, credentials: Credentials, symbol: str, *client_ids: str) -> tuple[str, ...]:
        """The algo id of a protection that waits for its trigger or has triggered. Weight 1, and 5 where it does."""
        [client_id] = client_ids
        algo_id = (await self.open_protections(credentials, symbol)).get(client_id)
        algo_id = algo_id or await self._triggered_protection(credentials, symbol, client_id)
        return (algo_id,) if algo_id else ()

    async def open_protections(self, credentials: Credentials, symbol: str) -> dict[str, str]:
        """Client id → algo id of what waits for its trigger: `GET /fapi/v1/openAlgoOrders`, weight 1."""
        rows = await self._client.call("fapiPrivateGetOpenAlgoOrders", {"symbol": symbol}, credentials, weight=1)
        return {row["clientAlgoId"]: str(row["algoId"]) for row in rows}

    async def _triggered_protection(self, credentials: Credentials, symbol: str, client_id: str) -> str | None:
        """The algo id of a protection that has triggered or is doing so: `GET /fapi/v1/allAlgoOrders`, weight 5."""
        rows = await self._client.call("fapiPrivateGetAllAlgoOrders", {"symbol": symbol}, credentials, weight=5)
        passed = ("NEW", "TRIGGERING", "TRIGGERED", "FINISHED")
        return next(
            (str(row["algoId"]) for row in rows if row["clientAlgoId"] == client_id and row["algoStatus"] in passed),
            None,
        )

    async def _refused_protections(self, credentials: Credentials, symbol: str) -> frozenset[str]:
        """Client ids of those that the matching engine refused when they triggered: `GET /fapi/v1/allAlgoOrders`."""
        rows = await self._client.call("fapiPrivateGetAllAlgoOrders", {"symbol": symbol}, credentials, weight=5)
        return frozenset(row["clientAlgoId"] for row in rows if row["algoStatus"] == "REJECTED")

    async def cancel_protection(self, credentials: Credentials, step: CancelProtection) -> None:
        """`DELETE /fapi/v1/algoOrder`, weight 1. One that is not there (any more) counts as cancelled (-2011)."""
        try:
            await self._client.call(
                "fapiPrivateDeleteAlgoOrder", {"clientAlgoId": step.client_id}, credentials, weight=1
            )
        except Failed as error:
            if not _says(error, -2011):
                raise

    async def reading(self, credentials: Credentials, position: Position, _beside: Sequence[Position]) -> Reading:
        """What the exchange says around a position.

        Weight 6; 1 more for each protection that does not stand, 5 more for a position without its stop-loss.
        """
        held, standing = await asyncio.gather(
            self.held(credentials, position.symbol), self.open_protections(credentials, position.symbol)
        )
        fired = []
        for reason, name in position.protections:
            if name not in standing:
                order = await self.find(credentials, position.symbol, name)
                if order is not None:
                    fired.append((reason, order))
        amount = _amount(held, position.symbol, position.position_side)
        refused: frozenset[str] = frozenset()
        if amount and position.stop_client_id is not None and position.stop_client_id not in standing:
            refused = await self._refused_protections(credentials, position.symbol)
        return Reading(amount, frozenset(standing), tuple(fired), refused)

    async def fired(self, credentials: Credentials, position: Position) -> dict[str, str]:
        """Client id → order id of protections that became orders: `GET /fapi/v1/allAlgoOrders`, weight 5."""
        rows = await self._client.call(
            "fapiPrivateGetAllAlgoOrders", {"symbol": position.symbol}, credentials, weight=5
        )
        return {row["clientAlgoId"]: str(row["actualOrderId"]) for row in rows if row["actualOrderId"]}

    async def closing(self, credentials: Credentials, position: Position) -> list[Fill]:
        """Fills that reduced a position: `GET /fapi/v1/userTrades`, weight 5, seven days back at most."""
        start_ms = max(position.opened_at_ms, self.now_ms() - _TRADES_WINDOW_MS)
        fields = {"symbol": position.symbol, "startTime": str(start_ms), "limit": "1000"}
        rows = await self._client.call("fapiPrivateGetUserTrades", fields, credentials, weight=5)
        side = (closing_side(position.direction), position.position_side)
        return [fill for fill in map(_fill, rows) if (fill.side, fill.position_side) == side]

    async def fills(self, credentials: Credentials, symbol: str, order_id: str) -> list[Fill]:
        """The fills of an order: `GET /fapi/v1/userTrades`, weight 5."""
        rows = await self._client.call(
            "fapiPrivateGetUserTrades", {"symbol": symbol, "orderId": order_id}, credentials, weight=5
        )
        return [_fill(row) for row in rows]

    async def earned(
        self, position: Position, entry: Sequence[Fill], exits: Sequence[Fill]
    ) -> tuple[Decimal, Sequence[Fill]] | None:
        """Profit in USD before fees, and the fills whose fees are to be taken off."""
        gross = profit.of_contracts(position.direction, entry, exits)
        return None if gross is None else (gross, [*entry, *exits])


def _amount(held: Sequence[tuple[str, PositionSide, Decimal]], symbol: str, position_side: PositionSide) -> Decimal:
    return sum((amount for s, side, amount in held if (s, side) == (symbol, position_side)), Decimal(0))


def _fill(row: Mapping[str, Any]) -> Fill:
    return Fill(
        order_id=str(row["orderId"]),
        side=row["side"],
        position_side=row["positionSide"],
        price=Decimal(row["price"]),
        quantity=Decimal(row["qty"]),
        fee=Decimal(row["commission"]),
        fee_asset=row["commissionAsset"],
    )


def _says(error: Failed, code: int) -> bool:
    return isinstance(error.reply, Answer) and error.reply.code == code


def _is_gone(error: Failed) -> bool:
    """Whether Binance does not offer the endpoint (any more): -5000 "Path …, Method … is invalid"."""
    reply = error.reply
    return isinstance(reply, Answer) and (reply.code == -5000 or reply.http_status in (404, 405, 410))


def _margin_type(told: str) -> MarginType:
    """v2 says `isolated` and `cross`, symbolConfig `ISOLATED` and `CROSSED`."""
    return "isolated" if told.lower() == "isolated" else "crossed"


def _stamp(intent: Intent) -> dict[str, str]:
    """P2: the intent's time stamp is the request's."""
    return {"timestamp": str(intent.stamp_ms), "recvWindow": str(intent.recv_window_ms)}


def _position_side(position_side: PositionSide, *, reduce_only: bool) -> dict[str, str]:
    """In hedge mode the side says what is reduced, and `reduceOnly` must not be sent (-1106)."""
    if position_side != "BOTH":
        return {"positionSide": position_side}
    return {"reduceOnly": "true"} if reduce_only else {}


def _order(row: Mapping[str, Any]) -> Order:
    price = Decimal(row.get("avgPrice") or 0)
    return Order(
        order_id=str(row["orderId"]),
        status=row["status"],
        executed_quantity=Decimal(row["executedQty"]),
        average_price=price if price > 0 else None,
        time_ms=int(row["updateTime"]),
    )


def _rules(row: Mapping[str, Any]) -> SymbolRules:
    filters = {entry["filterType"]: entry for entry in row["filters"]}
    prices, lot, market = filters["PRICE_FILTER"], filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", {})
    return SymbolRules(
        symbol=row["symbol"],
        tick=Decimal(prices["tickSize"]),
        quantity_step=common_step(Decimal(lot["stepSize"]), Decimal(market.get("stepSize", 0))),
        quantity_min=max(Decimal(lot["minQty"]), Decimal(market.get("minQty", 0))),
        quantity_max=min(Decimal(lot["maxQty"]), Decimal(market.get("maxQty", lot["maxQty"]))),
        notional_min=Decimal(filters["MIN_NOTIONAL"]["notional"]) if "MIN_NOTIONAL" in filters else Decimal(0),
        price_min=Decimal(prices["minPrice"]),
        price_max=Decimal(prices["maxPrice"]),
        quote=row["quoteAsset"],
    )
