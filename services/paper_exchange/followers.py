"""Who follows which spot account's events: the user-data subscriptions of the WebSocket API.

Source: binance-spot-api-docs, web-socket-api.md "User Data Stream requests", user-data-stream.md.
"""

import functools
from dataclasses import dataclass, field

from services.paper_exchange.errors import Refused
from services.paper_exchange.faults import FaultScript
from services.paper_exchange.line import Line, deliver
from services.paper_exchange.spot.model import Account, Json

ACTIVE_MAX = 1_000
LIFETIME_MAX = 65_535


@dataclass(eq=False)
class Session(Line):
    """One connection, and the accounts it follows by subscription id."""

    connected_ms: int = 0
    given_ids: int = 0
    accounts: dict[int, Account] = field(default_factory=dict)


class Followers:
    """All subscriptions of all connections."""

    def __init__(self, faults: FaultScript) -> None:
        self.faults = faults
        self.sessions: set[Session] = set()
        self.of_account: dict[str, dict[Session, int]] = {}

    def subscribe(self, session: Session, account: Account) -> int:
        """Follow an account: -2035 where the session does already, -1191 and -2042 beyond what one session may."""
        followers = self.of_account.setdefault(account.api_key, {})
        if session in followers:
            raise Refused(-2035)
        if len(session.accounts) >= ACTIVE_MAX:
            raise Refused(-1191, ACTIVE_MAX)
        if session.given_ids >= LIFETIME_MAX:
            raise Refused(-2042)
        subscription, session.given_ids = session.given_ids, session.given_ids + 1
        followers[session] = subscription
        session.accounts[subscription] = account
        if account.outbox is None:
            account.outbox = []
        return subscription

    def unsubscribe(self, session: Session, subscription: int, now_ms: int) -> None:
        """End one subscription and say so; Refused(-2036) where there is none."""
        if subscription not in session.accounts:
            raise Refused(-2036)
        self._leave(session, subscription)
        ended = {"e": "eventStreamTerminated", "E": now_ms}
        session.push({"subscriptionId": subscription, "event": ended})

    def shut(self, now_ms: int) -> None:
        """Tell every connection that the server goes, and close it."""
        for session in self.sessions:
            session.push({"event": {"e": "serverShutdown", "E": now_ms}})
        self.cut()

    def cut(self) -> None:
        """Close every connection without a word."""
        for session in self.sessions:
            session.hang_up()

    def drop(self, session: Session) -> None:
        """The connection is gone."""
        self.sessions.discard(session)
        for subscription in list(session.accounts):
            self._leave(session, subscription)

    def close(self, account: Account, now_ms: int) -> None:
        """The account's key is gone: end all subscriptions to it."""
        for session, subscription in list(self.of_account.get(account.api_key, {}).items()):
            self.unsubscribe(session, subscription, now_ms)

    def publish(self, account: Account) -> None:
        """Deliver what the account's outbox holds to those who follow it."""
        if not account.outbox:
            return
        events, account.outbox = account.outbox, []
        for event in events:
            deliver(self.faults.event(account.api_key), functools.partial(self._tell, account.api_key, event))

    def _tell(self, api_key: str, event: Json) -> None:
        for session, subscription in self.of_account.get(api_key, {}).items():
            session.push({"subscriptionId": subscription, "event": event})

    def _leave(self, session: Session, subscription: int) -> None:
        account = session.accounts.pop(subscription)
        followers = self.of_account[account.api_key]
        del followers[session]
        if not followers:
            account.outbox = None
            del self.of_account[account.api_key]
