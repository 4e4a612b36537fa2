"""Waiting for a signal to settle."""

from typing import Any
from uuid import UUID

import pytest

from services.webhook_gateway.settling import Settling, asked_wait_s
from shared.contracts import SignalSettled


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        (["wait=5"], 5),
        (["WAIT = 5"], 5),
        (['wait="5"'], 5),
        (["wait=007"], 7),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10; x=y"], 10),
        (["wait=5, wait=9"], 5),  # RFC 7240: the first counts
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=" + "9" * 5000], 30),
        (["wait=0"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=soon"], None),
        (["wait=٣"], None),
        (["wait"], None),
        (["waiting=5"], None),
    ],
)
def test_how_long_a_caller_asks_to_wait(headers: list[str], wait_s: int | None) -> None:
    assert asked_wait_s(headers) == wait_s


def settled(clock: Any, signal_id: UUID) -> SignalSettled:
    return SignalSettled(
        id=signal_id,
        occurred_at=clock.now(),
        signal_id=signal_id,
        bot_id=UUID(int=1),
        total_subscribers=0,
        successful_executions=0,
        failed_executions=0,
        skipped_executions=0,
    )


async def test_all_who_wait_for_a_signal_hear_of_it_and_no_others(clock: Any) -> None:
    settling, end = Settling(), settled(clock, UUID(int=2))
    with (
        settling.expecting(end.signal_id) as one,
        settling.expecting(end.signal_id) as two,
        settling.expecting(UUID(int=3)) as other,
    ):
        settling.announce(end)
        settling.announce(end)  # delivered twice
        assert (one.result(), two.result()) == (end, end)
        assert not other.done()
    settling.announce(end)


async def test_at_a_shutdown_nobody_waits_any_longer() -> None:
    settling = Settling()
    async with settling.running():
        with settling.expecting(UUID(int=2)) as before:
            assert not before.done()
            await _leave(settling)
            assert before.result() is None
    with settling.expecting(UUID(int=2)) as after:
        assert after.result() is None


async def _leave(settling: Settling) -> None:
    async with settling.running():
        pass
