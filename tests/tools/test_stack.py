"""What the processes of a local installation are told of each other."""

from tools.environment import local
from tools.stack import processes


def test_executors_and_watcher_know_how_many_share_their_address() -> None:
    for executors in (1, 3):
        running = processes(local({}), 8000, executors)
        assert sum(one.module == "services.executor" for one in running) == executors
        assert {one.environment["EGRESS_SHARES"] for one in running} == {str(executors + 1)}
    given = processes(local({"EGRESS_SHARES": "7", "EGRESS_ADDRESS": "north"}), 8000, 1)
    assert {(one.environment["EGRESS_SHARES"], one.environment["EGRESS_ADDRESS"]) for one in given} == {("7", "north")}
