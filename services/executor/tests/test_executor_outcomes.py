"""Every answer of Binance's that we know of, and what it means for the request that it answers."""

import pytest

from services.executor.binance_errors import REASONS
from services.executor.outcomes import Answer, NoAnswer, judge
from services.executor.state import Refused, Uncertain, Unsent
from services.paper_exchange.errors import MESSAGES
from shared.contracts import MarketType
from shared.reasons import CATALOGUE, Kind, Reason

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
    (Answer(503, -1016, "This service is no longer available."), Uncertain, "a 5XX promises nothing"),
    (Answer(500, None, "Request occur unknown error."), Uncertain, "5XX"),
    (Answer(500, -2019, "Margin is insufficient."), Uncertain, "a 5XX promises nothing, whatever its code"),
    (Answer(500, -1008, "Request throttled."), Uncertain, "only as a 503 it is documented"),
    (Answer(500, None, "Service Unavailable."), Uncertain, "only as a 503 it is documented"),
    (Answer(502, None, "<html>Bad Gateway</html>"), Uncertain, "5XX"),
    (Answer(504, None, ""), Uncertain, "5XX"),
    (Answer(408, None, "Request Timeout"), Uncertain, "time-out waiting for the backend"),
    (Answer(408, -1007, "Timeout waiting for response."), Uncertain, "time-out waiting for the backend"),
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
    (Answer(404, None, "<html>Not Found</html>"), Refused, "there is no such endpoint, so nobody carried it out"),
    (Answer(410, None, "Gone"), Refused, "there is no such endpoint any more"),
    (Answer(400, -1199, "never heard of"), Refused, "of a group that is checked before matching"),
    (Answer(400, -9999, "never heard of"), Uncertain, "unknown codes are uncertain (P4)"),
    (Answer(400, -3000, "never heard of"), Uncertain, "unknown groups are uncertain (P4)"),
    (Answer(400, -6001, "never heard of"), Uncertain, "unknown groups are uncertain (P4)"),
    (Answer(400, 42, "never heard of"), Uncertain, "unknown codes are uncertain (P4)"),
]

# What Spot says otherwise
SPOT_REPLIES = [
    (Answer(503, None, "Service Unavailable."), Uncertain, Reason.NO_ANSWER),
    (Answer(503, -1008, "Server is currently overloaded with other requests."), Uncertain, Reason.NO_ANSWER),
    (Answer(400, -2010, "Account has insufficient balance for requested action."), Refused, Reason.INSUFFICIENT_MARGIN),
    (Answer(400, -2010, "Duplicate order sent."), Uncertain, Reason.OUT_OF_STEP),
    (Answer(400, -2010, "Order would trigger immediately."), Refused, Reason.PRICE_THROUGH),
    (
        Answer(400, -2010, "The relationship of the prices for the orders is not correct."),
        Refused,
        Reason.PRICE_THROUGH,
    ),
    (Answer(400, -2010, "Market is closed."), Refused, Reason.SYMBOL_NOT_TRADING),
    (Answer(400, -2010, "OCO orders are not supported for this symbol"), Refused, Reason.SYMBOL_NOT_TRADING),
    (Answer(400, -2010, "This account may not place or cancel orders."), Refused, Reason.ACCOUNT_RESTRICTED),
    (Answer(400, -2010, "This symbol is not permitted for this account."), Refused, Reason.ACCOUNT_RESTRICTED),
    (
        Answer(400, -2010, "Order book liquidity is less than `LOT_SIZE` filter minimum quantity."),
        Unsent,
        Reason.NO_COUNTERPARTY,
    ),
    (Answer(400, -2010, "what nobody has said yet"), Refused, Reason.REFUSED),
    (Answer(400, -1013, "Filter failure: LOT_SIZE"), Refused, Reason.BELOW_MINIMUM),
    (Answer(400, -1013, "Filter failure: NOTIONAL"), Refused, Reason.BELOW_MINIMUM),
    (Answer(400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"), Refused, Reason.TRIGGER_OUT_OF_RANGE),
    (Answer(400, -1013, "Filter failure: MAX_NUM_ALGO_ORDERS"), Refused, Reason.TOO_MANY_ORDERS),
    (Answer(400, -1013, "Filter failure: MAX_POSITION"), Refused, Reason.POSITION_TOO_LARGE),
    (Answer(400, -1013, "Filter failure: TRAILING_DELTA"), Refused, Reason.REFUSED),
    (Answer(400, -2021, "Order cancel-replace partially failed"), Refused, Reason.REFUSED),
    (Answer(400, -2011, "Unknown order sent."), Uncertain, Reason.OUT_OF_STEP),
]


@pytest.mark.parametrize(("reply", "meaning", "why"), REPLIES)
def test_a_reply_means_what_binance_says_it_means(
    reply: Answer | NoAnswer, meaning: type[Refused | Unsent | Uncertain], why: str
) -> None:
    assert type(judge(reply)) is meaning, why


@pytest.mark.parametrize(("reply", "meaning", "reason"), SPOT_REPLIES)
def test_on_spot_the_message_says_what_the_code_does_not(
    reply: Answer, meaning: type[Refused | Unsent | Uncertain], reason: Reason
) -> None:
    judged = judge(reply, "spot")
    assert (type(judged), judged.why.reason) == (meaning, reason)


MEANINGS = {Kind.RETRYABLE: Unsent, Kind.OUTCOME_UNKNOWN: Uncertain}
KNOWN = [(market, code, reason) for market, known in REASONS.items() for code, reason in known.items()]


@pytest.mark.parametrize(("market", "code", "reason"), KNOWN)
@pytest.mark.parametrize("status", [400, 401])
def test_every_known_code_is_of_its_class_and_has_a_sentence_in_two_languages_and_binances_own(
    market: MarketType, code: int, reason: Reason, status: int
) -> None:
    judged = judge(Answer(status, code, "as Binance puts it"), market)
    kind = CATALOGUE[reason].kind
    assert kind is not Kind.BY_RULE
    assert type(judged) is MEANINGS.get(kind, Refused)
    assert (judged.why.exchange_code, judged.why.reason, judged.why.kind) == (code, reason, kind)
    for said in (judged.why.words.en, judged.why.words.pt):
        sentence, binance = said.split(" (")
        assert sentence.endswith(".")
        assert binance == f"Binance {code}: as Binance puts it)"


def test_every_error_of_the_paper_exchange_is_known() -> None:
    assert MESSAGES.keys() <= REASONS["futures"].keys() | REASONS["spot"].keys()


# The customer's own matter, the market's or the moment's: our requests were right. All others are logged as ours.
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-2015, Kind.CUSTOMER_MUST_ACT),
        (-2019, Kind.CUSTOMER_MUST_ACT),
        (-2021, Kind.CUSTOMER_MUST_ACT),
        (-4045, Kind.CUSTOMER_MUST_ACT),
        (-1003, Kind.RETRYABLE),
        (-1021, Kind.RETRYABLE),
        (-4509, Kind.RETRYABLE),
        (-1007, Kind.OUTCOME_UNKNOWN),
        (-4116, Kind.OUTCOME_UNKNOWN),
        (-4130, Kind.OUTCOME_UNKNOWN),
        (-4120, Kind.OPERATOR_MUST_ACT),
        (-1102, Kind.BUG),
        (-1111, Kind.BUG),
        (-4023, Kind.BUG),
        (-9999, Kind.BUG),
    ],
)
def test_an_answer_is_the_matter_of_whoever_can_act_on_it(code: int, kind: Kind) -> None:
    assert judge(Answer(400, code, "")).why.kind is kind


def test_who_asks_too_much_is_told_how_long_to_wait() -> None:
    judged = judge(Answer(429, -1003, "Too many requests", 7))
    assert isinstance(judged, Unsent)
    assert (judged.wait_ms, judged.why.exchange_code) == (7_000, -1003)
    assert judged.why.said == "Binance -1003: Too many requests"
