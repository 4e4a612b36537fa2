"""What accounts looked like a little while ago, for reads that lag behind. Pure.

Kept only while a fault asks for it: a copy after each change, so that a read can be answered from the past.
"""

import copy
from collections import deque
from typing import Any

LAG_MS_MAX = 60_000


class History:
    """Copies of accounts by name, each with the time from which it held."""

    def __init__(self) -> None:
        self.is_kept = False
        self._copies: dict[str, deque[tuple[int, Any]]] = {}

    def keep(self, name: str, account: Any, now_ms: int) -> None:
        """Remember how an account stands now; what is older than any lag is let go."""
        if not self.is_kept:
            return
        copies = self._copies.setdefault(name, deque())
        copies.append((now_ms, copy.deepcopy(account)))
        while len(copies) > 1 and copies[1][0] <= now_ms - LAG_MS_MAX:
            copies.popleft()

    def as_of(self, name: str, time_ms: int) -> Any | None:
        """The account as it stood at that time, or at the first time known; None where nothing is known."""
        known = None
        for since_ms, account in self._copies.get(name, ()):
            if known is not None and since_ms > time_ms:
                break
            known = account
        return known

    def clear(self) -> None:
        """Forget everything and keep nothing more."""
        self.is_kept = False
        self._copies.clear()
