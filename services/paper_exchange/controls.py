"""The simulator's own controls under /paper, a path no real exchange has.

Unprotected: never for the public internet.
"""

import json
import secrets
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from services.paper_exchange.books import read_book
from services.paper_exchange.faults import read_fault
from services.paper_exchange.feed import script, walk
from services.paper_exchange.futures import render, statements
from services.paper_exchange.futures.model import Account, Json
from services.paper_exchange.futures.symbols import STATUSES
from services.paper_exchange.http import JSON, Gate
from services.paper_exchange.keyring import Key
from services.paper_exchange.prices import Prices
from services.paper_exchange.spot import model as spot
from services.paper_exchange.spot import render as spot_render
from services.paper_exchange.spot.statements import balances
from services.paper_exchange.spot.symbols import QUOTE as USDT
from services.paper_exchange.spot.symbols import STATUSES as SPOT_STATUSES

BALANCE_DEFAULT = Decimal(10_000)  # USDT
BALANCE_MAX = Decimal(10) ** 12


class Controls:
    """Accounts, prices, thin books and faults, set from outside."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.prices = Prices(gate)

    def routes(self) -> list[web.RouteDef]:
        """The paths of the controls."""
        return [
            web.post("/paper/accounts", self.open_account),
            web.get("/paper/accounts/{api_key}", self.show_account),
            web.delete("/paper/accounts/{api_key}", self.revoke_key),
            web.put("/paper/prices/{symbol}", self.move_price),
            web.put("/paper/symbols/{symbol}", self.set_status),
            web.post("/paper/feed", self.start_feed),
            web.get("/paper/feed", self.show_feed),
            web.delete("/paper/feed", self.stop_feed),
            web.put("/paper/books/{symbol}", self.add_book),
            web.delete("/paper/books", self.clear_books),
            web.post("/paper/faults", self.add_fault),
            web.delete("/paper/faults", self.clear_faults),
            web.delete("/paper/streams", self.cut_streams),
        ]

    async def open_account(self, request: web.Request) -> web.Response:
        """POST {"balance_usdt"?, "hedge_mode"?, "can_withdraw"?} → {"api_key", "api_secret"}."""
        wish = await _read(request, {"balance_usdt", "hedge_mode", "can_withdraw"})
        balance = _decimal(wish.get("balance_usdt", BALANCE_DEFAULT), "balance_usdt")
        if not 0 <= balance <= BALANCE_MAX:
            raise _problem(422, "invalid", "balance_usdt must be between 0 and 1e12")
        now_ms = self.gate.clock()
        key = Key(secrets.token_hex(32), secrets.token_hex(32), now_ms, can_withdraw=_flag(wish, "can_withdraw"))
        self.gate.keyring.add(key)
        self.gate.market.add(Account(key.api_key, balance, now_ms, hedge_mode=_flag(wish, "hedge_mode")))
        self.gate.spot_market.add(spot.Account(key.api_key, now_ms, {USDT: balance}))
        self.gate.touch(key.api_key)
        return _json({"api_key": key.api_key, "api_secret": key.api_secret}, 201)

    async def show_account(self, request: web.Request) -> web.Response:
        """GET everything about an account; its rows are Binance's own, and tell of a revoked key's account too."""
        key, account = self._find(request)
        return _json(describe(self.gate, key, account))

    async def revoke_key(self, request: web.Request) -> web.Response:
        """DELETE: the key is refused with -2015 from now on; its account and orders stay as they are."""
        key, account = self._find(request)
        key.revoked = True
        self.gate.hub.close(account)
        self.gate.followers.close(self.gate.spot_market.accounts[key.api_key], self.gate.clock())
        self.gate.touch(key.api_key)
        return _json({"revoked": True})

    async def move_price(self, request: web.Request) -> web.Response:
        """PUT {"price"}: moves the market; the answer comes when all it triggered is done."""
        symbol = self._symbol(request)
        wish = await _read(request, {"price"})
        price = _decimal(wish.get("price"), "price")
        if not 0 < price < BALANCE_MAX:
            raise _problem(422, "invalid", "price must be greater than 0")
        await self.prices.move(symbol, price)
        return _json({"symbol": symbol, "price": f"{price:f}"})

    async def set_status(self, request: web.Request) -> web.Response:
        """PUT {"status", "market"?: "futures"|"spot"}: whether a symbol trades; TRADING again after a restart."""
        symbol, wish = self._symbol(request), await _read(request, {"status", "market"})
        if (name := wish.get("market", "futures")) not in ("futures", "spot"):
            raise _problem(422, "invalid", "market must be futures or spot")
        market, allowed = (self.gate.spot_market, SPOT_STATUSES) if name == "spot" else (self.gate.market, STATUSES)
        if wish.get("status") not in allowed:
            raise _problem(422, "invalid", f"status must be one of {', '.join(allowed)}")
        market.statuses[symbol] = wish["status"]
        return _json({"symbol": symbol, "status": wish["status"]})

    async def add_book(self, request: web.Request) -> web.Response:
        """PUT how the next market orders of a symbol fill, see `books`."""
        document = await _read(request, None)
        try:
            self.gate.market.books.books.append(read_book(self._symbol(request), document))
        except ValueError as error:
            raise _problem(422, "invalid", str(error)) from None
        return _json({"books": len(self.gate.market.books.books)})

    async def clear_books(self, _request: web.Request) -> web.Response:
        """DELETE all thin books."""
        self.gate.market.books.books.clear()
        return _json({"books": 0})

    async def start_feed(self, request: web.Request) -> web.Response:
        """POST {"walk": {"seed"?, "step_ms"?, "volatility_pct"?, "symbols"?}} or {"script": [steps], "loop"?}."""
        wish = await _read(request, {"walk", "script", "loop"})
        if ("walk" in wish) == ("script" in wish):
            raise _problem(422, "invalid", "a feed is either a walk or a script")
        try:
            feed = walk(wish["walk"]) if "walk" in wish else script(wish["script"], loop=_flag(wish, "loop"))
        except (ValueError, TypeError) as error:
            raise _problem(422, "invalid", str(error)) from None
        await self.prices.play(feed)
        return await self.show_feed(request)

    async def show_feed(self, _request: web.Request) -> web.Response:
        """GET which feed plays and how many steps it has played."""
        prices = self.prices
        return _json({"feed": prices.feed, "playing": prices.is_playing, "steps": prices.steps})

    async def stop_feed(self, request: web.Request) -> web.Response:
        """DELETE: prices stand where they are."""
        await self.prices.stop()
        return await self.show_feed(request)

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST one line of the fault script, see `faults`."""
        document = await _read(request, None)
        try:
            fault = read_fault(document)
        except (ValueError, AttributeError, TypeError) as error:
            raise _problem(422, "invalid", str(error)) from None
        if fault.kind == "read_lag" and not self.gate.history.is_kept:
            self.gate.lag()
        self.gate.faults.add(fault)
        return _json({"faults": len(self.gate.faults.faults)}, 201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """DELETE the fault script."""
        self.gate.faults.clear()
        self.gate.history.clear()
        return _json({"faults": 0})

    async def cut_streams(self, _request: web.Request) -> web.Response:
        """DELETE: every WebSocket is closed, as when the exchange drops it; listen keys live on."""
        cut = len(self.gate.hub.sockets) + len(self.gate.followers.sessions)
        self.gate.hub.shut()
        self.gate.followers.cut()
        return _json({"streams": cut})

    def _symbol(self, request: web.Request) -> str:
        symbol = request.match_info["symbol"]
        if symbol not in self.gate.market.prices:
            raise _problem(404, "unknown_symbol", f"no symbol {symbol}")
        return symbol

    def _find(self, request: web.Request) -> tuple[Key, Account]:
        api_key = request.match_info["api_key"]
        key = self.gate.keyring.keys.get(api_key)
        if key is None:
            raise _problem(404, "unknown_account", f"no account with the key {api_key}")
        return key, self.gate.market.accounts[api_key]


def describe(gate: Gate, key: Key, account: Account) -> Json:
    """Everything about an account; `orders` is every order ever accepted, of both books, each with its `book`."""
    risks = statements.risk_v3(gate.market, account, None)
    orders = [{"book": "order", **render.listed(order)} for order in account.orders.values()]
    algos = [{"book": "algo", **render.algo_queried(algo)} for algo in account.algos.values()]
    return {
        "api_key": key.api_key,
        "revoked": key.revoked,
        "can_withdraw": key.can_withdraw,
        "hedge_mode": account.hedge_mode,
        "balances": statements.balance(gate.market, account),
        "positions": [row for row in risks if row["positionAmt"] != "0"],
        "open_orders": [render.queried(order) for order in account.open_orders.values()],
        "open_algo_orders": [render.algo_open(algo) for algo in account.open_algos.values()],
        "orders": orders + algos,
        "trades": [render.trade(trade) for fills in account.trades.values() for trade in fills],
        "spot": describe_spot(gate.spot_market.accounts[account.api_key]),
    }


def describe_spot(wallet: spot.Account) -> Json:
    """The spot half of a customer; its rows are Binance's own."""
    return {
        "balances": balances(wallet, omit_zero=True),
        "open_orders": [spot_render.queried(order) for order in wallet.open_orders.values()],
        "order_lists": [spot_render.order_list(wallet, row) for row in wallet.lists.values()],
        "orders": [spot_render.queried(order) for order in wallet.orders.values()],
        "trades": [spot_render.trade(trade) for fills in wallet.trades.values() for trade in fills],
    }


async def _read(request: web.Request, allowed: set[str] | None) -> dict[str, Any]:
    """The JSON object of a request ({} where it is empty), numbers as Decimal; 422 names a field not known."""
    body = await request.read()
    try:
        document = json.loads(body, parse_float=Decimal) if body.strip() else {}
    except ValueError:
        raise _problem(422, "invalid", "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _problem(422, "invalid", "the body is not a JSON object")
    for name in document:
        if allowed is not None and name not in allowed:
            raise _problem(422, "invalid", f"unknown field {name}")
    return document


def _decimal(value: object, name: str) -> Decimal:
    """A JSON number or string as a finite Decimal; 422 names the field."""
    try:
        number = Decimal(value) if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _problem(422, "invalid", f"{name} must be a decimal number")
    return number


def _flag(document: dict[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise _problem(422, "invalid", f"{name} must be true or false")
    return value


def _json(document: Json, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type=JSON)


def _problem(status: int, code: str, detail: str) -> web.HTTPException:
    """An RFC 9457 problem, to be raised."""
    body = orjson.dumps({"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail})
    kind = web.HTTPNotFound if status == 404 else web.HTTPUnprocessableEntity
    return kind(text=body.decode(), content_type="application/problem+json")
