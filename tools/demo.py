"""Plays the source document's own flow against a running `make run`, and says what happened at each step.

An administrator makes the bot, five customers connect a paper account each and subscribe (one with settings of their
own), TradingView's alert arrives, and everybody's result is read from the ledger and from the exchange.
"""

import asyncio
import os
import sys
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp

from embedded.settings import Settings

BOT = {
    "name": "Bot Scalper BTC 5min",
    "description": "Bot que opera no cruzamento de EMAs no 5min",
    "market_type": "futures",
    "master_webhook_path": "scalper-btc-5min",
    "master_secret": "minha-senha-super-secreta",
    "default_leverage": 10,
    "default_margin_usd": 100,
    "default_stop_loss_pct": 2.5,
    "default_take_profit_pct": 5.0,
}
CUSTOM = {
    "custom_leverage": 15,
    "custom_margin_usd": 200,
    "custom_stop_loss_pct": 1.5,
    "custom_take_profit_pct": 8.0,
    "max_daily_loss_usd": 500,
    "max_concurrent_positions": 3,
}
PRICE = "95234.50"
CUSTOMERS = 5
PASSWORD = "a demo customer's password"  # noqa: S105 - of accounts that hold play money


class Api:
    """The system's HTTP API and the paper exchange's controls, as anybody may use them."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def call(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Any:
        """One request; exits with what the system said when it says no."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                sys.exit(f"{method} {path}: {response.status} {answer.get('detail', answer)}")
            return answer

    async def log_in(self, email: str, password: str) -> str:
        """An access token."""
        answer = await self.call("POST", "/api/v1/auth/login", {"email": email, "password": password})
        return str(answer["access_token"])


async def play(settings: Settings) -> bool:
    """The whole flow; true when every customer has a protected position."""
    url = f"http://{settings.host}:{settings.port}"
    paper_url = settings.paper_exchange_url or f"http://{settings.host}:{settings.port + 1}"
    async with aiohttp.ClientSession() as session:
        api, paper = Api(session, url), Api(session, paper_url)
        admin = await api.log_in(settings.admin_email, settings.admin_password.get_secret_value())
        await paper.call("PUT", "/paper/prices/BTCUSDT", {"price": PRICE})

        bot = await _make_bot(api, admin)
        customers = [await _make_customer(api, paper, admin, bot["bot_id"], number) for number in range(CUSTOMERS)]
        settled = await _alert(api, bot["path"])
        return await _results(api, paper, admin, settled, customers)


async def _make_bot(api: Api, admin: str) -> Any:
    print("\n1. The administrator creates the bot")
    taken = {
        bot["master_webhook_path"] for bot in (await api.call("GET", "/api/v1/bots?limit=200", token=admin))["items"]
    }
    path = BOT["master_webhook_path"]
    if path in taken:
        path = f"{path}-{uuid4().hex[:6]}"
        print(f"   {BOT['master_webhook_path']} is there from an earlier demo; this one is {path}")
    bot = await api.call("POST", "/api/v1/bots", BOT | {"master_webhook_path": path}, admin)
    print(f"   webhook URL    {bot['webhook_url']}")
    print(f"   alert message  {' '.join(bot['alert_message'].split())}")
    return bot | {"path": path}


async def _make_customer(api: Api, paper: Api, admin: str, bot_id: str, number: int) -> Any:
    if number == 0:
        print(f"\n2. {CUSTOMERS} customers connect their exchange accounts and subscribe")
    email = f"customer-{number + 1}-{uuid4().hex[:6]}@example.com"
    credentials = {"email": email, "password": PASSWORD}
    user = await api.call("POST", "/api/v1/users", credentials | {"role": "customer"}, admin)
    token = await api.log_in(email, PASSWORD)
    key = await paper.call("POST", "/paper/accounts", {"balance_usdt": "10000"})
    account = {"label": "Paper", "exchange": "binance", "environment": "paper"} | key
    connected = await api.call("POST", "/api/v1/exchange-accounts", account, token)
    custom = CUSTOM if number == 0 else {}
    wanted = {"bot_id": bot_id, "exchange_account_id": connected["exchange_account_id"]} | custom
    subscription = await api.call("POST", "/api/v1/subscriptions", wanted, token)
    print(f"   {email}  {'15×, 200 USD, stop 1.5 %, target 8 %' if custom else 'the bot’s defaults'}")
    return {"user_id": user["user_id"], "api_key": key["api_key"], "email": email} | subscription


async def _alert(api: Api, path: str) -> Any:
    print("\n3. TradingView fires the alert")
    alert = {"ticker": "BTCUSDT", "action": "buy", "secret": BOT["master_secret"], "price": float(PRICE)}
    webhook = f"/api/v1/bots/webhook/master/{path}"
    answer = await api.call("POST", webhook, alert, Prefer="wait=25")
    counts = "  ".join(f"{name} {answer[name]}" for name in answer if name.endswith(("subscribers", "executions")))
    print(f"   {counts or 'accepted, still being worked on'}")
    return answer


async def _results(api: Api, paper: Api, admin: str, settled: Any, customers: list[Any]) -> bool:
    print("\n4. What is on record, and what the exchange holds")
    records = await api.call("GET", f"/api/v1/executions?signal_id={settled['signal_id']}&limit=200", token=admin)
    emails = {customer["user_id"]: customer for customer in customers}
    for record in records["items"]:
        customer = emails[record["user_id"]]
        state = await paper.call("GET", f"/paper/accounts/{customer['api_key']}")
        protections = state.get("open_algo_orders", state["open_orders"])
        held = sum(Decimal(row["positionAmt"]) for row in state["positions"])
        print(
            f"   {customer['email']}  {record['status']}  {record['executed_quantity']} BTC @ "
            f"{record['executed_price']}  stop {record['stop_loss_price']}  target {record['take_profit_price']}"
            f"  {record['execution_time_ms']} ms   exchange: {held} BTC, {len(protections)} protections"
            + (f"  {record['error_message']}" if record["error_message"] else "")
        )
    audit = await api.call("GET", "/api/v1/audit/verify", token=admin)
    print(f"   audit chain: {'whole' if audit['ok'] else 'BROKEN'}, {audit['records']} records")
    return bool(settled.get("successful_executions") == CUSTOMERS and audit["ok"])


if __name__ == "__main__":
    try:
        done = asyncio.run(play(Settings()))
    except aiohttp.ClientConnectorError as error:
        sys.exit(f"Nobody answers ({error}). Start the system first: make run (the same PORT, if you set one).")
    print("\nEverybody has their position, protected.\n" if done else "\nNot as expected: see above.\n")
    sys.exit(os.EX_OK if done else 1)
