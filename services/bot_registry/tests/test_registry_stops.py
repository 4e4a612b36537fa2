"""Ending a stop of entries: an administrator's word, carried to the executors."""

from uuid import UUID, uuid4

from services.bot_registry.tests.registry_world import Caller, Registry
from shared.contracts import EntriesAllowRequested


async def test_an_administrator_asks_the_executors_to_allow_entries_again(registry: Registry, admin: Caller) -> None:
    stop_id = str(uuid4())
    answer = await admin("POST", f"/stops/{stop_id}/allow")
    assert (answer.status, answer.body) == (202, {"stop_id": stop_id})
    asked = await registry.bus.next(EntriesAllowRequested)
    assert (asked.stop_id, asked.user_id) == (UUID(stop_id), admin.user_id)


async def test_customers_may_not_and_what_is_no_id_names_nothing(ana: Caller, admin: Caller) -> None:
    assert (await ana("POST", f"/stops/{uuid4()}/allow")).status == 403
    assert (await admin("POST", "/stops/all/allow")).status == 404
