import re
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import client_order_id, derived, execution_id, fresh


@given(st.lists(st.uuids(), min_size=1, max_size=3))
def test_the_same_cause_gives_the_same_id(parts: list[object]) -> None:
    assert derived(*parts) == derived(*parts)


def test_ids_of_different_causes_differ() -> None:
    signal, subscription = uuid4(), uuid4()
    assert len({derived("a"), derived("b"), derived("a", "b"), derived("b", "a")}) == 4
    assert execution_id(signal, subscription) != execution_id(subscription, signal)
    assert execution_id(signal, subscription) == execution_id(signal, subscription)


def test_derived_ids_never_change_between_releases() -> None:
    assert str(derived("execution", 1, 2)) == "55cbc7f9-915d-5ab2-83c1-66657ac4f0a7"


def test_fresh_ids_are_version_7_unique_and_in_order_of_time() -> None:
    ids = [fresh() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, "specified in RFC 4122")}
    assert [id_.int >> 80 for id_ in ids] == sorted(id_.int >> 80 for id_ in ids)


@given(st.uuids(), st.from_regex(r"[a-z][0-9]{1,3}", fullmatch=True))
def test_client_order_ids_are_what_binance_takes(execution: object, leg: str) -> None:
    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", client_order_id(execution, leg))  # type: ignore[arg-type]


def test_client_order_ids_differ_by_execution_and_leg() -> None:
    one, two = uuid4(), uuid4()
    assert len({client_order_id(id_, leg) for id_ in (one, two) for leg in ("e1", "e2", "s1")}) == 6
