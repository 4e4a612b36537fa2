"""The bots that the gateway knows: in memory, so that alerts are judged without asking anybody.

Loaded from the registry, kept by `bot.changed`, and loaded again every minute as a net. While the registry is away,
what is known goes on being served.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from services.webhook_gateway.intake import Bot, Secret
from shared.clock import monotonic_ms
from shared.contracts import BotEntry
from shared.errors import Transient
from shared.sealing import CannotOpen, Cipher
from shared.service import background

Snapshot = Callable[[], Awaitable[Sequence[BotEntry]]]
"""Gives all bots of the registry. Raises Transient while it is away."""

_RELOAD_S = 60.0
_ASK_AGAIN_MS = 1_000
_ASK_WITHIN_S = 1.0

log = structlog.get_logger()


class Directory:
    """Path → bot. Bots are archived, never deleted, so nothing is ever removed."""

    def __init__(self, snapshot: Snapshot, cipher: Cipher) -> None:
        self._snapshot = snapshot
        self._cipher = cipher
        self._by_id: dict[UUID, Bot] = {}
        self._by_path: dict[str, Bot] = {}
        self.loaded = False
        self._loaded_ms = -_ASK_AGAIN_MS
        self._asking = asyncio.Lock()

    def find(self, webhook_path: str) -> Bot | None:
        """The bot whose alerts come to this path."""
        return self._by_path.get(webhook_path)

    def learn(self, entry: BotEntry) -> None:
        """Take over what the registry says of a bot, unless something newer is known. A changed path moves it."""
        known = self._by_id.get(entry.bot_id)
        if known is not None:
            if known.entry.revision >= entry.revision:
                return
            if self._by_path.get(known.entry.webhook_path) is known:
                del self._by_path[known.entry.webhook_path]
        bot = self._opened(entry)
        self._by_id[entry.bot_id] = self._by_path[entry.webhook_path] = bot

    def _opened(self, entry: BotEntry) -> Bot:
        secrets: list[Secret] = []
        for sealed in entry.secrets:
            try:
                secrets.append(Secret(self._cipher.decrypt(sealed.token), sealed.valid_until))
            except CannotOpen as error:
                log.error("webhook_key_does_not_fit", bot_id=str(entry.bot_id), reason=str(error))
        return Bot(entry, tuple(secrets), unreadable=len(secrets) < len(entry.secrets))

    async def waiting_for(self) -> str | None:
        """A readiness check: null from the first snapshot on."""
        return None if self.loaded else "bot directory from the registry"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load, and load again, for the length of the block."""
        async with background("webhook_gateway.directory", self._keep_loading):
            yield

    async def ask_for(self, webhook_path: str) -> Bot | None:
        """The bot of a path that is not known here; it may have been made this moment.

        Asks the registry, once a second at most however many ask; null also while the registry does not answer.
        """
        async with self._asking:
            if webhook_path not in self._by_path and monotonic_ms() - self._loaded_ms > _ASK_AGAIN_MS:
                try:
                    async with asyncio.timeout(_ASK_WITHIN_S):
                        await self._load()
                except (Transient, TimeoutError) as error:
                    log.warning("registry_not_asked", reason=str(error))
        return self.find(webhook_path)

    async def _keep_loading(self) -> None:
        while True:
            await self._load()
            await asyncio.sleep(_RELOAD_S)

    async def _load(self) -> None:
        self._loaded_ms = monotonic_ms()
        for entry in await self._snapshot():
            self.learn(entry)
        self.loaded = True
