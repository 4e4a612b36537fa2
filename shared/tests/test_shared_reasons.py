"""The catalogue of reasons: complete, in two languages, and nothing in it that cannot be."""

import re
from pathlib import Path

import pytest

from shared.reasons import CATALOGUE, Reason, Words

SERVICES = Path(__file__).parents[2] / "services"
SOURCES = [
    (file.relative_to(SERVICES), file.read_text()) for file in SERVICES.rglob("*.py") if "tests" not in file.parts
]


def test_every_reason_is_explained_in_the_order_of_the_enumeration() -> None:
    assert list(CATALOGUE) == list(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_whole_sentences_of_two_languages(reason: Reason) -> None:
    for said in (CATALOGUE[reason].means, CATALOGUE[reason].remedy):
        assert said.en != said.pt
        for sentence in (said.en, said.pt):
            assert re.fullmatch(r"[A-ZÀ-Ú].*[^ .]\.", sentence), sentence


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_that_is_explained_can_happen(reason: Reason) -> None:
    assert any(re.search(rf"\bReason\.{reason.name}\b", text) for _, text in SOURCES)


def test_no_error_code_of_a_record_stands_outside_of_the_catalogue() -> None:
    written = [(str(file), found) for file, text in SOURCES for found in re.findall(r"error_code=[^\n]*", text)]
    assert {(file, "Reason." in found or "failure.code" in found) for file, found in written} == {
        ("bot_registry/fanout.py", True),
        ("executor/report.py", True),
    }


def test_failures_are_made_of_reasons_alone() -> None:
    made = {str(file) for file, text in SOURCES if re.search(r"\bFailure\(", text)}
    assert made == {"executor/state.py"}


def test_words_go_on_in_both_languages() -> None:
    assert Words("Yes", "Sim") + " " + Words("no.", "não.") + " (1)" == Words("Yes no. (1)", "Sim não. (1)")
