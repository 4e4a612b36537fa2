"""Every answer of Binance's that we know of, and what it means for the request that it answers."""

import pytest

from services.executor.outcomes import Answer, NoAnswer, judge
from services.executor.state import Refused, Uncertain, Unsent

UNKNOWN_503 = "Unknown error, please check your request or try again later."

# Binance's table of replies that say whether a request was carried out
REPLIES = [
    (Answer(503, None, UNKNOWN_503), Uncertain, "execution status unknown, could have been a success"),
    (
        Answer(503, None, f'{{"path":"/fapi/v1/order","msg":"{UNKNOWN_503}"}}'),
        Uncertain,
        "the same, as seen in the wild",
    ),
    (Answer(503, None, "Service Unavailable."), Unsent, "100 % failure"),
    (Answer(503, -1008, "Request throttled by system-level protection."), Unsent, "100 % failure"),
    (Answer(503, -1001, "Internal error; unable to process your request. Please try again."), Uncertain, "ask first"),
    (Answer(500, None, "Request occur unknown error."), Uncertain, "5XX"),
    (Answer(500, -2019, "Margin is insufficient."), Uncertain, "a 5XX promises nothing, whatever its code"),
    (Answer(502, None, "<html>Bad Gateway</html>"), Uncertain, "5XX"),
    (Answer(504, None, ""), Uncertain, "5XX"),
    (Answer(408, None, "Request Timeout"), Uncertain, "time-out waiting for the backend"),
    (Answer(400, -1000, "An unknown error occurred."), Uncertain, "unknown error"),
    (Answer(400, -1006, "An unexpected response was received."), Uncertain, "execution status unknown"),
    (Answer(400, -1007, "Timeout waiting for response."), Uncertain, "execution status unknown"),
    (Answer(200, None, "<html>welcome</html>"), Uncertain, "no answer of Binance's at all"),
    (Answer(400, None, "what?"), Uncertain, "a refusal without a code is none that we know"),
    (NoAnswer(True, "TimeoutError"), Uncertain, "it had left"),
    (NoAnswer(True, "ServerDisconnectedError"), Uncertain, "it had left"),
    (NoAnswer(False, "ClientConnectorError"), Unsent, "never sent"),
    (Answer(403, None, "<html>WAF</html>"), Unsent, "rejected before execution"),
    (Answer(429, None, "", 60), Unsent, "rejected before execution"),
    (Answer(418, -1003, "IP banned", 120), Unsent, "rejected before execution"),
    (Answer(429, -1003, "Too many requests", 7), Unsent, "rejected before execution"),
    (Answer(400, -1003, "Too many requests"), Unsent, "rejected before execution"),
    (Answer(400, -1015, "Too many new orders"), Unsent, "rejected before execution"),
    (Answer(400, -1021, "Timestamp for this request is outside of the recvWindow."), Unsent, "refused at the gate"),
    (Answer(400, -5028, "Timestamp for this request is outside of the ME recvWindow."), Unsent, "refused at matching"),
    (Answer(400, -9999, "never heard of"), Uncertain, "unknown codes are uncertain (P4)"),
    (Answer(400, -3000, "never heard of"), Uncertain, "unknown groups are uncertain (P4)"),
    (Answer(400, -6001, "never heard of"), Uncertain, "unknown groups are uncertain (P4)"),
    (Answer(400, 42, "never heard of"), Uncertain, "unknown codes are uncertain (P4)"),
]

# Binance's error codes that refuse a request before it is carried out, by the word that our records give them
REFUSALS = {
    "key_rejected": (-1002, -1022, -1099, -2014, -2015, -2017),
    "insufficient_margin": (-2018, -2019, -2028, -4050, -4051),
    "leverage_not_allowed": (-4028, -4161, *range(-4203, -4201), -4205, -4206, -4208, -4209, -4403),
    "position_too_large": (-2027, -4005),
    "below_minimum": (-1013, -4003, -4004, -4164),
    "symbol_not_trading": (-1121, -1122, -4140, -4141),
    "account_restricted": (-2023, -4087, -4088, -4105, -4106, -4107, -4109, -4189, -4192, -4400, -4401, -4402),
    "no_counterparty": (-2020, -4131),
    "too_many_orders": (-2025, -4045),
    "account_mode": (-4047, -4048, -4060, -4061, -4062, -4167, -4168),
    # our own mistakes, or what the machine knows how to answer: no advice helps the customer
    "refused": (
        *(-1010, -1016, -1020, -1111, -1114, -1115, -1116, -1117, -1125, -1128, -1130, -1136),
        *range(-1106, -1099),
        *(-2010, -2011, -2013, -2021, -2022, -2024, -2026),
        *(-4002, -4006, -4007, -4013, -4014, -4015, -4016, -4023, -4024),
        *(-4046, -4059, -4067, -4068, -4116, -4117, -4118, -4120, -4130, -4136, -4137, -4138, -4142),
        *(-4169, -4170, -4171, -4172, -4183, -4184, -4210, -4211, -4509, -4531),
        *(-5021, -5022, -5027, -5029, -5041, -5043, -5047),
    ),
}


@pytest.mark.parametrize(("reply", "meaning", "why"), REPLIES)
def test_a_reply_means_what_binance_says_it_means(
    reply: Answer | NoAnswer, meaning: type[Refused | Unsent | Uncertain], why: str
) -> None:
    assert type(judge(reply)) is meaning, why


@pytest.mark.parametrize(("word", "code"), [(word, code) for word, codes in REFUSALS.items() for code in codes])
@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_has_our_word_a_sentence_and_binances_own(word: str, code: int, status: int) -> None:
    refusal = judge(Answer(status, code, "as Binance puts it"))
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.why.reason) == (code, word)
    for said in (refusal.why.words.en, refusal.why.words.pt):
        sentence, binance = said.split(" (")
        assert sentence.endswith(".")
        assert binance == f"Binance {code}: as Binance puts it)"


def test_who_asks_too_much_is_told_how_long_to_wait() -> None:
    judged = judge(Answer(429, -1003, "Too many requests", 7))
    assert isinstance(judged, Unsent)
    assert (judged.wait_ms, judged.why.exchange_code) == (7_000, -1003)
    assert judged.why.said == "Binance -1003: Too many requests"
