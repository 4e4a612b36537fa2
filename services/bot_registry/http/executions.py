"""A person's word about an execution that needs attention, carried to the executors. The ledger lists them."""

from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import BaseModel

from shared.clock import Clock
from shared.contracts import ExecutionResolveRequested, Verdict
from shared.db.database import Database
from shared.ids import fresh
from shared.web.routes import Access, Call, Nothing, Request, Route


class Resolution(Request):
    """What the administrator found at the exchange, or did there.

    `not_placed`: the order in question is not there and never filled. `closed_by_hand`: what there was is closed and
    its protections are cancelled. `look_again`: what stood in the way is gone, ask at once.
    """

    outcome: Verdict


class ResolutionAsked(BaseModel):
    """The executors were told. What came of it stands at `/api/v1/attention`."""

    execution_id: UUID
    outcome: Verdict


@dataclass(frozen=True, slots=True)
class ExecutionRoutes:
    """What administrators may do about executions."""

    database: Database
    clock: Clock

    def routes(self) -> list[Route]:
        """What can be asked here."""
        path = "/api/v1/executions/{execution_id}/resolve"
        said = "Say what is true of an execution that needs attention"
        route = Route("POST", path, self.resolve, said, Access.ADMIN, body=Resolution, answer=ResolutionAsked)
        return [replace(route, status=202, tag="attention")]

    async def resolve(self, call: Call[Resolution, Nothing]) -> ResolutionAsked:
        """Heeded within seconds; an execution that needs no attention (any more) is left alone."""
        execution_id, outcome = call.id("execution_id", "execution"), call.body.outcome
        asked = ExecutionResolveRequested(
            id=fresh(),
            occurred_at=self.clock.now(),
            execution_id=execution_id,
            verdict=outcome,
            user_id=call.user.user_id,
        )
        async with self.database.transaction() as tx:
            tx.publish(asked)
        return ResolutionAsked(execution_id=execution_id, outcome=outcome)
