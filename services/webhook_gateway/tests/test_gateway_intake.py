"""What becomes of an alert's bytes."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.webhook_gateway import intake
from services.webhook_gateway.intake import Arrival, Bot, Refused, Secret
from shared.contracts import Action, BotEntry, SignalReceived, dump, parse

SECRET = "s3cret-of-the-bot"
OLD = "the-one-before"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ARRIVAL = Arrival(NOW, "52.89.214.238", UUID(int=7))
ENTRY = BotEntry(
    bot_id=UUID(int=1),
    revision=1,
    webhook_path="p",
    secrets=(),
    status="active",
    market_type="futures",
    rate_limit_per_minute=10,
)
BOT = Bot(ENTRY, (Secret(SecretStr(SECRET), None), Secret(SecretStr(OLD), NOW + timedelta(seconds=1))))
SPOT_BOT = Bot(ENTRY.model_copy(update={"market_type": "spot"}), BOT.secrets)


def read(bot: Bot = BOT, **fields: Any) -> SignalReceived | Refused:
    return read_raw(orjson.dumps({"secret": SECRET, "action": "buy", "ticker": "BTCUSDT"} | fields), bot)


def read_raw(raw: bytes, bot: Bot = BOT) -> SignalReceived | Refused:
    payload = intake.parse(raw)
    if isinstance(payload, Refused):
        return payload
    if not intake.knows_secret(payload, bot, NOW):
        return Refused("wrong_secret", "secret", "")
    return intake.read(payload, raw, bot, ARRIVAL)


def accepted(bot: Bot = BOT, **fields: Any) -> SignalReceived:
    message = read(bot, **fields)
    assert isinstance(message, SignalReceived), message
    return message


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ODD = st.sampled_from(["buy", "close_all", "BTCUSDT", SECRET, "\ud800", "\0", "1e99999", 10**400, 2**64])
JSON = (
    LEAVES | ODD | st.lists(LEAVES | ODD, max_size=3) | st.dictionaries(st.text(max_size=5), LEAVES | ODD, max_size=3)
)
FIELDS = st.sampled_from(["action", "ticker", "price", "alert_id", "time", "exchange", "secret", "comment"])


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(raw: bytes) -> None:
    read_raw(raw)


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_gets_an_answer_that_every_reader_of_the_queue_can_take(fields: dict[str, Any]) -> None:
    message = read_raw(json.dumps({"action": "buy", "ticker": "BTCUSDT"} | fields | {"secret": SECRET}).encode())
    if isinstance(message, SignalReceived):
        body = dump(message)
        again = parse(message.TYPE, body)
        assert isinstance(again, SignalReceived)
        assert again.signal == message.signal
        assert rb"\u0000" not in body


@pytest.mark.parametrize("escaped", [rb"\ud800", rb"\u0000"])
@pytest.mark.parametrize("body", [b'{"comment": "%s"}', b'{"%s": 1}', b'{"secret": ["%s"]}'])
def test_text_that_no_database_stores_is_no_json(body: bytes, escaped: bytes) -> None:
    refused = intake.parse(body % escaped)
    assert isinstance(refused, Refused)
    assert refused.code == "invalid_json"


def test_a_number_too_long_for_other_readers_is_kept_as_text() -> None:
    payload = intake.parse(b'{"long": 1%s, "short": 9223372036854775807}' % (b"0" * 400))
    assert payload == {"long": "1" + "0" * 400, "short": 9223372036854775807}


@given(
    st.dictionaries(
        st.sampled_from(["ticker", "action", "alert_id", "time", "exchange", "comment", f"is {SECRET}", "nested"]),
        st.sampled_from([SECRET, OLD, f"a{SECRET}b", [SECRET], {"x": {SECRET: OLD}}, "close_all"]),
    )
)
def test_no_secret_of_the_bot_leaves_in_any_field(fields: dict[str, Any]) -> None:
    message = read(BOT, **{"action": "close_all", "ticker": None} | fields)
    text = repr(message) + (dump(message).decode() if isinstance(message, SignalReceived) else "")
    assert SECRET not in text
    assert OLD not in text


def test_what_mentions_the_secret_is_masked_and_the_rest_is_kept() -> None:
    fields = {"comment": f"my {SECRET}!", "order_id": "7", "nested": {"list": ["x", OLD]}, f"k-{SECRET}": 1}
    payload = accepted(BOT, **fields).payload
    kept = {"action": "buy", "ticker": "BTCUSDT", "order_id": "7"}
    assert payload == kept | {"comment": "***", "nested": {"list": ["x", "***"]}, "***": 1}


@pytest.mark.parametrize("given_secret", [SECRET, OLD])
def test_every_secret_that_counts_now_is_right(given_secret: str) -> None:
    assert intake.knows_secret({"secret": given_secret}, BOT, NOW)


def test_a_secret_no_longer_counts_from_the_end_of_its_overlap() -> None:
    assert not intake.knows_secret({"secret": OLD}, BOT, NOW + timedelta(seconds=1))
    assert intake.knows_secret({"secret": SECRET}, BOT, NOW + timedelta(days=9999))


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_nothing_but_a_secret_is_right(given_secret: Any) -> None:
    assert intake.knows_secret({"secret": given_secret}, BOT, NOW) == (given_secret in (SECRET, OLD))


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("btcusdt", "BTCUSDT"),
        (" BTCUSDT ", "BTCUSDT"),
        ("BTCUSDT.P", "BTCUSDT"),
        ("BINANCE:BTCUSDT", "BTCUSDT"),
        ("BINANCE:BTCUSDT.P", "BTCUSDT"),
        ("BINANCE:BTCUSDTPERP", "BTCUSDT"),
        ("1000SHIBUSDT.P", "1000SHIBUSDT"),
        ("PERPUSDT", "PERPUSDT"),
        ("binance:1000pepeusdt.p", "1000PEPEUSDT"),
        ("测试USDT", "测试USDT"),
        ("A" * 40, "A" * 40),
    ],
)
def test_tickers_as_tradingview_writes_them(ticker: str, symbol: str) -> None:
    signal = accepted(ticker=ticker).signal
    assert (signal.symbol, signal.ticker) == (symbol, ticker.strip())


@pytest.mark.parametrize(
    "ticker",
    [
        *("", ".P", "BINANCE:", "OKX:BTCUSDT", "BYBIT:BTCUSDT.P", "BINANCE:BINANCE:BTCUSDT", "BTCUSDT.P.P", "BTC/USDT"),
        *("BTC-USDT", "BTC USDT", "{{ticker}}", "A" * 41, "ВTCUSDT", "ﬁUSDT", "BTC\u200bUSDT"),
        *(True, ["BTCUSDT"], {}, 12, 1.5, "12", "12.P"),
    ],
)
def test_what_is_no_ticker_is_refused_by_name(ticker: Any) -> None:
    refused = read(ticker=ticker)
    assert isinstance(refused, Refused)
    assert refused.field == "ticker"


@given(st.text(alphabet=st.characters(codec="ascii", categories=["Lu", "Nd"]), min_size=1, max_size=40))
def test_prefix_suffix_and_case_never_change_the_symbol(symbol: str) -> None:
    assume(not symbol.isdigit() and not symbol.endswith("PERP"))
    spellings = [symbol, symbol.lower(), f"{symbol}.P", f"BINANCE:{symbol}", f"BINANCE:{symbol}.P"]
    assert {intake.symbol_of(spelling, "futures") for spelling in spellings} == {symbol}


def test_a_spot_bot_takes_plain_tickers_and_refuses_perpetual_ones() -> None:
    assert accepted(SPOT_BOT, ticker="BINANCE:BTCUSDT").signal.symbol == "BTCUSDT"
    assert isinstance(read(SPOT_BOT, ticker="BTCUSDTPERP"), Refused)
    refused = read(SPOT_BOT, ticker="BTCUSDT.P")
    assert isinstance(refused, Refused)
    assert refused.field == "ticker"
    assert "spot" in refused.detail


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.CLOSE_ALL])
def test_only_close_all_may_leave_out_the_ticker(action: Action) -> None:
    refused = read(action=action, ticker=None)
    assert isinstance(refused, Refused)
    assert refused.field == "ticker"
    assert accepted(action="close_all", ticker=None).signal.symbol is None
    assert accepted(action="close_all", ticker="BTCUSDT.P").signal.symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("raw", "price"),
    [("95234.50", "95234.50"), ('"95234.50"', "95234.50"), ("1", "1"), ("1e-8", "0.00000001"), ("null", None)],
)
def test_a_price_is_a_number_or_a_string_exactly(raw: str, price: str | None) -> None:
    message = read_raw(
        b'{"secret":"%s","action":"buy","ticker":"BTCUSDT","price":%s}' % (SECRET.encode(), raw.encode())
    )
    assert isinstance(message, SignalReceived)
    assert message.signal.price == (None if price is None else Decimal(price))


@pytest.mark.parametrize("price", [0, -1, "-0.1", "", "NaN", "Infinity", "1e999999999", "{{close}}", True, [1]])
def test_what_is_no_price_is_refused_by_name(price: Any) -> None:
    refused = read(price=price)
    assert isinstance(refused, Refused)
    assert refused.field == "price"


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2019-08-27T09:56:00Z", datetime(2019, 8, 27, 9, 56, tzinfo=UTC)),
        ("2019-08-27T09:56:00.250+02:00", datetime(2019, 8, 27, 7, 56, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_the_alerts_time_is_read_into_utc(time: str, moment: datetime) -> None:
    assert accepted(time=time).signal.alert_time == moment


@pytest.mark.parametrize(
    "time",
    [
        *("", "{{timenow}}", "2019-08-27", "2019-08-27T09:56:00", "1566899760", 1566899760),
        *("2019-13-27T09:56:00Z", "2019-08-27T25:00:00Z", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_what_is_no_moment_is_refused_by_name(time: Any) -> None:
    refused = read(time=time)
    assert isinstance(refused, Refused)
    assert refused.field == "time"


@pytest.mark.parametrize("exchange", ["BINANCE_DL", "BINANCE_DLY", "binance_dly"])
def test_delayed_prices_are_refused(exchange: str) -> None:
    refused = read(exchange=exchange)
    assert isinstance(refused, Refused)
    assert refused.field == "exchange"
    assert "delayed" in refused.detail


@pytest.mark.parametrize("alert_id", ["", " ", "x" * 201, "{{strategy.order.id}}", SECRET, True, [1]])
def test_an_alert_id_that_could_not_tell_two_alerts_apart_is_refused(alert_id: Any) -> None:
    refused = read(alert_id=alert_id)
    assert isinstance(refused, Refused)
    assert refused.field == "alert_id"


def test_an_alert_id_may_be_a_number() -> None:
    assert accepted(alert_id=17).signal.alert_id == accepted(alert_id="17").signal.alert_id == "17"


def test_a_field_that_null_leaves_out_is_left_out() -> None:
    signal = accepted(price=None, alert_id=None, time=None, exchange=None).signal
    assert (signal.signal_id, signal.price, signal.alert_time) == (ARRIVAL.signal_id, None, None)


@pytest.mark.parametrize(("levels", "is_taken"), [(8, True), (9, False)])
def test_a_body_nests_eight_levels_at_most(levels: int, is_taken: bool) -> None:
    raw = b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)
    assert isinstance(intake.parse(raw), dict) == is_taken
