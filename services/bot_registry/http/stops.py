"""Ending a stop of entries: a person's decision, which the executors carry out. The ledger lists stops."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from shared.clock import Clock
from shared.contracts import EntriesAllowRequested
from shared.db.database import Database
from shared.ids import fresh
from shared.web.routes import Access, Call, Nothing, Route


class AllowAsked(BaseModel):
    """The executors were told."""

    stop_id: UUID


@dataclass(frozen=True, slots=True)
class StopRoutes:
    """What administrators may do about stops."""

    database: Database
    clock: Clock

    def routes(self) -> list[Route]:
        """What can be asked here."""
        path = "/api/v1/stops/{stop_id}/allow"
        return [
            Route(
                "POST",
                path,
                self.allow,
                "Allow entries again",
                Access.ADMIN,
                answer=AllowAsked,
                status=202,
                tag="stops",
            )
        ]

    async def allow(self, call: Call[Nothing, Nothing]) -> AllowAsked:
        """Within seconds the executors make entries again; a stop that is none any more is left alone."""
        stop_id = call.id("stop_id", "stop")
        asked = EntriesAllowRequested(
            id=fresh(), occurred_at=self.clock.now(), stop_id=stop_id, user_id=call.user.user_id
        )
        async with self.database.transaction() as tx:
            tx.publish(asked)
        return AllowAsked(stop_id=stop_id)
