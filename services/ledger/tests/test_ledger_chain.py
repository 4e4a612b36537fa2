"""The chain, purely: whatever is done to one record is found, located and named."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.chain import GENESIS, Claim, Flaw, Head, Reason, Record, Verification, canonical, head, seal


def sealed(count: int) -> list[Record]:
    records: list[Record] = []
    end = GENESIS
    for number in range(1, count + 1):
        records.append(seal(end, UUID(int=number), canonical({"execution_id": UUID(int=number), "ms": number})))
        end = head(records[-1])
    return records


def claims_of(records: Sequence[Record]) -> list[Claim]:
    return [Claim(record.position, record.execution_id, record.body) for record in records]


def verify(records: Sequence[Record], end: Head, claims: Sequence[Claim], page: int = 3) -> Flaw | None:
    verification = Verification(end, len(records))
    while verification.reached.position < end.position:
        first = verification.reached.position + 1
        places = range(first, first + page)
        flaw = verification.page(
            page, [r for r in records if r.position in places], [c for c in claims if c.position in places]
        )
        if flaw is not None:
            return flaw
    return None


def moved(records: Sequence[Record], by: int) -> list[Record]:
    return [replace(record, position=record.position + by) for record in records]


places = st.integers(1, 12).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count)))


@given(st.integers(0, 12), st.integers(1, 5))
def test_an_untouched_chain_is_found_good_whatever_the_page(count: int, page: int) -> None:
    records = sealed(count)
    assert verify(records, head(records[-1]) if records else GENESIS, claims_of(records), page) is None


@given(places, st.sampled_from(["body", "hash", "execution_id"]))
def test_an_edited_record_is_changed(place: tuple[int, int], what: str) -> None:
    count, at = place
    records = sealed(count)
    claims, end, original = claims_of(records), head(records[-1]), records[at - 1]
    edits: dict[str, Record] = {
        "body": replace(original, body=original.body + " "),
        "hash": replace(original, hash="f" * 64),
        "execution_id": replace(original, execution_id=UUID(int=999)),
    }
    records[at - 1] = edits[what]
    assert verify(records, end, claims) == Flaw(at, edits[what].execution_id, Reason.CHANGED)


@given(places)
def test_a_record_edited_together_with_its_hash_and_its_row_is_found(place: tuple[int, int]) -> None:
    count, at = place
    records = sealed(count)
    end = head(records[-1])
    previous = head(records[at - 2]) if at > 1 else GENESIS
    records[at - 1] = seal(previous, records[at - 1].execution_id, '{"execution_id":"forged"}')
    flaw = verify(records, end, claims_of(records))
    assert flaw is not None
    assert flaw.reason is Reason.CHANGED
    assert flaw.position == min(at + 1, count)  # the first whose hash tells


@given(places)
def test_a_deleted_record_is_removed_the_last_one_too(place: tuple[int, int]) -> None:
    count, at = place
    records = sealed(count)
    claims, end = claims_of(records), head(records[-1])
    gone = records.pop(at - 1)
    assert verify(records, end, claims) == Flaw(at, gone.execution_id, Reason.REMOVED)


@given(places)
def test_a_deletion_closed_up_behind_is_removed(place: tuple[int, int]) -> None:
    count, at = place
    records = sealed(count)
    claims, end, gone = claims_of(records), head(records[-1]), records[at - 1]
    records = records[: at - 1] + moved(records[at:], -1)
    assert verify(records, end, claims) == Flaw(at, gone.execution_id, Reason.REMOVED)


@given(places)
def test_a_truncated_chain_is_removed_from_there_on(place: tuple[int, int]) -> None:
    count, at = place
    records = sealed(count)
    assert verify(records[: at - 1], head(records[-1]), claims_of(records)) == Flaw(at, UUID(int=at), Reason.REMOVED)


@given(places, st.booleans())
def test_an_inserted_record_is_inserted_even_with_a_fitting_hash(place: tuple[int, int], fits: bool) -> None:
    count, at = place
    records = sealed(count)
    claims, end = claims_of(records), head(records[-1])
    previous = head(records[at - 2]) if at > 1 else GENESIS
    forged = seal(previous, UUID(int=999), '{"execution_id":"forged"}')
    forged = forged if fits else replace(forged, hash="f" * 64)
    records = [*records[: at - 1], forged, *moved(records[at - 1 :], 1)]
    assert verify(records, end, claims) == Flaw(at, UUID(int=999), Reason.INSERTED)


@given(places.filter(lambda place: place[0] > 1), st.data())
def test_two_records_that_changed_places_are_changed(place: tuple[int, int], data: st.DataObject) -> None:
    count, at = place
    other = data.draw(st.integers(1, count).filter(lambda number: number != at))
    records = sealed(count)
    claims, end = claims_of(records), head(records[-1])
    records[at - 1], records[other - 1] = (
        replace(records[other - 1], position=at),
        replace(records[at - 1], position=other),
    )
    first = min(at, other)
    assert verify(records, end, claims) == Flaw(first, UUID(int=max(at, other)), Reason.CHANGED)


@given(places)
def test_a_read_model_that_says_something_else_is_changed_and_one_that_is_silent_removed(
    place: tuple[int, int],
) -> None:
    count, at = place
    records = sealed(count)
    end, claims = head(records[-1]), claims_of(records)
    lying = [replace(claim, body="{}") if claim.position == at else claim for claim in claims]
    assert verify(records, end, lying) == Flaw(at, UUID(int=at), Reason.CHANGED)
    silent = [claim for claim in claims if claim.position != at]
    assert verify(records, end, silent) == Flaw(at, UUID(int=at), Reason.REMOVED)


def test_an_auditor_can_check_a_hash_without_us() -> None:
    first, second = sealed(2)
    assert second.hash == hashlib.sha256(f"{first.hash}\n2\n{second.body}".encode()).hexdigest()


def test_the_canonical_form_is_one_text_for_one_meaning() -> None:
    east = datetime(2026, 11, 22, 15, 0, tzinfo=timezone(timedelta(hours=3)))
    assert canonical({"b": Decimal("100.500"), "a": Decimal("1E+2"), "c": east}) == (
        '{"a":"100","b":"100.5","c":"2026-11-22T12:00:00.000000Z"}'
    )
    assert canonical({"id": UUID(int=1), "text": "São", "none": None}) == (
        '{"id":"00000000-0000-0000-0000-000000000001","none":null,"text":"São"}'
    )


@pytest.mark.parametrize("value", [0.1, datetime(2026, 1, 1), [1]])  # noqa: DTZ001 - naive is what it refuses
def test_a_float_or_a_naive_time_has_no_place_in_a_record(value: object) -> None:
    with pytest.raises(TypeError):
        canonical({"value": value})


def test_utc_is_what_times_are_written_in() -> None:
    assert canonical({"at": datetime(2026, 1, 1, tzinfo=UTC)}) == '{"at":"2026-01-01T00:00:00.000000Z"}'
