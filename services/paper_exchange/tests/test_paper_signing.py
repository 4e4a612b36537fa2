"""Signatures, time window and parameters."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import check_signature, check_window, read_params, sign

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
PAYLOAD = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
SIGNATURE = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"


def test_the_documented_vector_is_reproduced() -> None:
    assert sign(SECRET, PAYLOAD) == SIGNATURE


@pytest.mark.parametrize("split", range(0, len(PAYLOAD), 7))
def test_a_signature_holds_however_query_and_body_share_the_payload(split: int) -> None:
    check_signature(SECRET, PAYLOAD[:split], PAYLOAD[split:] + "&signature=" + SIGNATURE, SIGNATURE.upper())


@given(st.integers(0, len(PAYLOAD) - 1))
def test_any_changed_character_breaks_the_signature(position: int) -> None:
    changed = PAYLOAD[:position] + chr(ord(PAYLOAD[position]) ^ 1) + PAYLOAD[position + 1 :]
    with pytest.raises(Refused) as refusal:
        check_signature(SECRET, changed, "", SIGNATURE)
    assert refusal.value.code == -1022


@given(st.integers(-20_000, 20_000), st.integers(1, 10_000))
@example(-1000, 5000)
@example(-999, 5000)
@example(5000, 5000)
@example(5001, 5000)
def test_the_window_is_the_documented_formula(age_ms: int, window_ms: int) -> None:
    now_ms = 1_700_000_000_000
    params = {"timestamp": str(now_ms - age_ms), "recvWindow": str(window_ms)}
    good = now_ms - age_ms < now_ms + 1000 and age_ms <= window_ms
    code = None
    try:
        check_window(params, now_ms)
    except Refused as refusal:
        code = refusal.code
    assert code == (None if good else -1021)


def test_the_query_string_wins_over_the_body() -> None:
    assert read_params("a=1&b=2", "b=3&c=4") == {"a": "1", "b": "2", "c": "4"}
