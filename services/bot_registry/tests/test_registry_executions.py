"""What is true of an execution that needs attention: an administrator's word, carried to the executors."""

from uuid import UUID, uuid4

from services.bot_registry.tests.registry_world import Caller, Registry
from shared.contracts import ExecutionResolveRequested, Verdict


async def test_an_administrators_word_reaches_the_executors_with_who_said_it(registry: Registry, admin: Caller) -> None:
    execution_id = str(uuid4())
    answer = await admin("POST", f"/executions/{execution_id}/resolve", {"outcome": "closed_by_hand"})
    assert (answer.status, answer.body) == (202, {"execution_id": execution_id, "outcome": "closed_by_hand"})
    asked = await registry.bus.next(ExecutionResolveRequested)
    assert (asked.execution_id, asked.verdict) == (UUID(execution_id), Verdict.CLOSED_BY_HAND)
    assert asked.user_id == admin.user_id


async def test_customers_may_not_and_only_what_a_person_can_know_is_taken(ana: Caller, admin: Caller) -> None:
    path = f"/executions/{uuid4()}/resolve"
    assert (await ana("POST", path, {"outcome": "not_placed"})).status == 403
    assert (await admin("POST", path, {"outcome": "success"})).status == 422
