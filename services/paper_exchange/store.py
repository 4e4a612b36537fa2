"""The snapshot that survives a restart: one SQLite row per account and one for the market.

Rewritten shortly after each change, the whole batch in one transaction. The operating system, not the disk, is waited
for: what was saved outlives kill -9, while a power cut may lose the last moments of play money.
"""

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import structlog
from pydantic import TypeAdapter

from services.paper_exchange.futures.model import Account, Market
from services.paper_exchange.keyring import Key, Keyring
from services.paper_exchange.spot.model import Account as Wallet
from services.paper_exchange.spot.model import Market as SpotMarket
from services.paper_exchange.spot.symbols import QUOTE as USDT

SAVE_EVERY_S = 0.2
ACCOUNTS_PER_STEP = 100  # written out at a time, so that others are served meanwhile
ID_GAP = 10_000  # skipped after a restart, so that ids given out after the last save are never given out again
log = structlog.get_logger()
Row = tuple[str, bytes]


@dataclass(slots=True)
class Quote:
    """What is saved of the market itself."""

    prices: dict[str, Decimal]
    last_id: int
    spot_last_id: int = 0


@dataclass(slots=True)
class Holding:
    """What is saved of one customer. `spot` is None in a snapshot that knew futures only."""

    key: Key
    account: Account
    spot: Wallet | None = None


HOLDING, QUOTE = TypeAdapter(Holding), TypeAdapter(Quote)
MARKET_ROW = ""  # no API key is empty


class Store:
    """Reads the snapshot once, then keeps it up to date."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(folder / "paper_exchange.sqlite3", check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = OFF")
        self.connection.execute("CREATE TABLE IF NOT EXISTS snapshot (name TEXT PRIMARY KEY, body BLOB NOT NULL)")

    def load(self, market: Market, spot_market: SpotMarket, keyring: Keyring) -> int:
        """Fill markets and keyring with what was saved; return the number of accounts."""
        rows: dict[str, bytes] = dict(self.connection.execute("SELECT name, body FROM snapshot"))
        if quote := rows.pop(MARKET_ROW, None):
            saved = QUOTE.validate_json(quote)
            market.prices |= {symbol: price for symbol, price in saved.prices.items() if symbol in market.prices}
            market.last_id = saved.last_id + ID_GAP
            spot_market.last_id = max(spot_market.last_id, saved.spot_last_id + ID_GAP)
        for body in rows.values():
            holding = HOLDING.validate_json(body)
            keyring.add(holding.key)
            market.add(holding.account)
            spot_market.add(holding.spot or _fresh(holding.account))
        return len(rows)

    async def save(self, market: Market, spot_market: SpotMarket, keyring: Keyring, changed: set[str]) -> None:
        """Write the markets' own state and the accounts named in `changed`, which is emptied."""
        names = changed - {MARKET_ROW}
        changed.clear()
        rows: list[Row] = []
        for count, name in enumerate(names, 1):
            holding = Holding(keyring.keys[name], market.accounts[name], spot_market.accounts[name])
            rows.append((name, HOLDING.dump_json(holding)))
            if count % ACCOUNTS_PER_STEP == 0:
                await asyncio.sleep(0)
        # Last, so that its counter is beyond every id in the rows before it.
        rows.append((MARKET_ROW, QUOTE.dump_json(Quote(market.prices, market.last_id, spot_market.last_id))))
        try:
            await asyncio.to_thread(self._write, rows)
        except sqlite3.Error as error:
            # A full disk must not stop the exchange; the next save takes these along.
            log.warning("snapshot_not_saved", reason=str(error))
            changed |= names

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def _write(self, rows: Iterable[Row]) -> None:
        with self.connection:
            self.connection.executemany("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", rows)


def _fresh(account: Account) -> Wallet:
    """The spot account of a customer who had none: the same money again, as for a new one."""
    return Wallet(account.api_key, account.created_ms, {USDT: account.wallet})
