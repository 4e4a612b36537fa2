"""What an account holds of ours and of its customer's own, in every market mode."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from ccxt.async_support.binance import binance

from services.executor.tests.conftest import SYMBOL, Customer, House
from shared.money import floor_to

Mode = Literal["one-way", "hedge", "spot"]
BY_HAND = Decimal("0.02")  # of BTC, before fees


@dataclass(frozen=True)
class Own:
    """Accounts of one market mode whose customers hold something by hand."""

    mode: Mode

    @property
    def config(self) -> dict[str, Any]:
        return {"market_type": "spot" if self.mode == "spot" else "futures"}

    async def customers(self, house: House, number: int) -> list[Customer]:
        """One-way: some ETH by hand, hedged: a short in the traded symbol too, spot: some of the traded coin."""
        customers = [await house.customer(hedge_mode=self.mode == "hedge") for _ in range(number)]
        prefixes = {"public": "/api/v3", "private": "/api/v3", "fapiPublic": "/fapi/v1", "fapiPrivate": "/fapi/v1"}
        urls = {name: house.paper.url + path for name, path in prefixes.items()}
        client = binance({"urls": {"api": urls}, "enableRateLimit": False})
        try:
            for customer in customers:  # one client for all: making and closing one takes longer than a trade
                credentials = house.opener.open(customer.sealed, customer.account_id)
                client.apiKey = credentials.api_key.get_secret_value()
                client.secret = credentials.api_secret.get_secret_value()
                await self._by_hand(client)
        finally:
            await client.close()
        return customers

    async def _by_hand(self, client: binance) -> None:
        order = {"side": "BUY", "type": "MARKET"}
        if self.mode == "spot":
            await client.privatePostOrder(order | {"symbol": SYMBOL, "quantity": str(BY_HAND)})
            return
        side = {"positionSide": "LONG"} if self.mode == "hedge" else {}
        await client.fapiPrivatePostOrder(order | {"symbol": "ETHUSDT", "quantity": "0.1"} | side)
        if self.mode == "hedge":
            short = {"side": "SELL", "positionSide": "SHORT"}
            await client.fapiPrivatePostOrder(order | {"symbol": SYMBOL, "quantity": str(BY_HAND)} | short)

    def orders(self, state: Any) -> list[dict[str, Any]]:
        """Every order but those that wait for a trigger at the Algo Service."""
        if self.mode == "spot":
            return list(state["spot"]["orders"])
        return [row for row in state["orders"] if row["book"] == "order"]

    def held(self, state: Any) -> Decimal:
        """What is ours of the traded symbol, signed; what spot cannot sell is nothing."""
        if self.mode == "spot":
            return floor_to(self._coins(state) - self._coins_by_hand(), Decimal("0.00001"))
        amount = sum((Decimal(row["positionAmt"]) for row in self._positions(state, SYMBOL)), Decimal(0))
        return amount + BY_HAND if self.mode == "hedge" else amount

    def protections(self, state: Any) -> set[str]:
        """`stop` and `target`, where they wait for their trigger."""
        if self.mode == "spot":
            types = {row["type"] for row in state["spot"]["open_orders"]}
        else:
            types = {row["orderType"] for row in state["open_algo_orders"]}
        names = {"STOP_MARKET": "stop", "STOP_LOSS": "stop", "TAKE_PROFIT_MARKET": "target", "TAKE_PROFIT": "target"}
        return {names[type_] for type_ in types}

    def untouched(self, state: Any) -> bool:
        """Whether the customer still has what they held by hand."""
        if self.mode == "spot":
            return self._coins(state) >= self._coins_by_hand()
        [eth] = self._positions(state, "ETHUSDT")
        short = [row for row in self._positions(state, SYMBOL) if row["positionSide"] == "SHORT"]
        kept = self.mode != "hedge" or Decimal(short[0]["positionAmt"]) <= -BY_HAND
        return Decimal(eth["positionAmt"]) == Decimal("0.1") and kept

    @staticmethod
    def _positions(state: Any, symbol: str) -> list[dict[str, Any]]:
        return [row for row in state["positions"] if row["symbol"] == symbol]

    @staticmethod
    def _coins(state: Any) -> Decimal:
        rows = (row for row in state["spot"]["balances"] if row["asset"] == "BTC")
        return sum((Decimal(row["free"]) + Decimal(row["locked"]) for row in rows), Decimal(0))

    @staticmethod
    def _coins_by_hand() -> Decimal:
        return BY_HAND * Decimal("0.999")
