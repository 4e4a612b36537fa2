"""Judges alerts: from the bytes of a body to a signal, or to a refusal that names the field and the remedy.

Pure, and total: whatever the bytes are, the answer is a value. No refusal repeats what the caller wrote.
"""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from shared import money
from shared.contracts import Action, BotEntry, MarketType, Signal, SignalReceived
from shared.money import Amount

_DEPTH_MAX = 8
_MASK = "***"
_DELAYED_SUFFIXES = ("_DL", "_DLY")  # TradingView's {{exchange}} where the chart's data is delayed
_TICKER = re.compile(r"(BINANCE:)?(?P<symbol>.{1,40}?)(?P<perpetual>\.P|PERP)?", re.ASCII | re.IGNORECASE)
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_REMEDIES = {
    "action": "must be buy, sell, close or close_all",
    "ticker": "must be a Binance symbol as TradingView writes it, in quotes: BTCUSDT, BTCUSDT.P or BINANCE:BTCUSDT.P",
    "price": "must be a number above 0, or be left out",
    "alert_id": "must be a text of 1 to 200 characters without the secret or an unfilled {{placeholder}} in it",
    "time": "must be a moment like 2026-11-22T12:00:00Z; write {{timenow}}",
    "exchange": "must be an exchange with live data; prices from one ending in _DL or _DLY are delayed",
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A webhook secret and the moment from which it no longer counts (null: it counts)."""

    text: SecretStr
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot whose secrets can be compared. `unreadable`: it has one that our keys do not decrypt."""

    entry: BotEntry
    secrets: tuple[Secret, ...]
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """When and from where an alert came, and the id it gets as a signal."""

    at: datetime
    source_ip: str
    signal_id: UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a body is no alert: `field` is wrong, `detail` says what to do."""

    code: str
    field: str
    detail: str


def _finished(text: str) -> str:
    if "{{" in text or _MASK in text:
        raise ValueError
    return text


def _only_text(value: Any) -> Any:
    if not isinstance(value, str | None):
        raise ValueError  # noqa: TRY004 - pydantic reads it
    return value


def _live(exchange: str) -> str:
    if exchange.upper().endswith(_DELAYED_SUFFIXES):
        raise ValueError
    return exchange


def _only_rfc_3339(value: Any) -> Any:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError  # pydantic alone would take seconds since 1970 too
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


class Alert(BaseModel):
    """The fields of an alert that are understood; others are kept with the signal."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True, str_strip_whitespace=True)

    action: Action
    ticker: Annotated[str | None, BeforeValidator(_only_text)] = None
    price: Annotated[Amount, Field(gt=0, max_digits=40, decimal_places=20)] | None = None
    alert_id: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_finished)] | None = None
    time: Annotated[AwareDatetime, BeforeValidator(_only_rfc_3339), AfterValidator(_in_utc)] | None = None
    exchange: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_live)] | None = None


def parse(raw: bytes) -> dict[str, Any] | Refused:
    """The JSON object in `raw`, whatever its content type said."""
    try:
        payload = _storable(money.loads(raw), _DEPTH_MAX)
    except (ValueError, RecursionError):
        depth = f"at most {_DEPTH_MAX} levels deep"
        return Refused("invalid_json", "body", f"The body must be JSON, {depth}; quotes inside texts need a backslash.")
    return payload if isinstance(payload, dict) else Refused("invalid_request", "body", "The body must be an object.")


def _storable(value: Any, depth: int) -> Any:
    """`value` as every reader can take it. Raises ValueError for what is too deep or no storable text."""
    if isinstance(value, dict | list) and depth == 0:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_storable(name, 0): _storable(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in value]
    if isinstance(value, str):
        value.encode()  # refuses half a surrogate pair
        if "\0" in value:
            raise ValueError("PostgreSQL stores no NUL")
    if isinstance(value, int) and value.bit_length() > 63:
        return str(value)  # other readers of JSON would round it, or fail
    return value


def knows_secret(payload: dict[str, Any], bot: Bot, now: datetime) -> bool:
    """Whether the payload's `secret` is one of the bot's that counts now; compared in constant time."""
    given = payload.get("secret")
    if not isinstance(given, str):
        return False
    valid = [secret for secret in bot.secrets if secret.valid_until is None or now < secret.valid_until]
    matches = [hmac.compare_digest(given.encode(), secret.text.get_secret_value().encode()) for secret in valid]
    return any(matches)


def read(payload: dict[str, Any], raw: bytes, bot: Bot, arrival: Arrival) -> SignalReceived | Refused:
    """The signal that an authenticated alert asks for.

    Read from the payload after redaction, so that no field of the message can carry a secret.
    """
    kept = _redacted(payload, bot)
    try:
        alert = Alert.model_validate(kept)
    except ValidationError as error:
        return _refused(str(error.errors(include_input=False)[0]["loc"][0]))
    if alert.ticker is None and alert.action is not Action.CLOSE_ALL:
        return _refused("ticker")
    symbol = None if alert.ticker is None else symbol_of(alert.ticker, bot.entry.market_type)
    if isinstance(symbol, Refused):
        return symbol
    signal = Signal(
        signal_id=arrival.signal_id,
        bot_id=bot.entry.bot_id,
        action=alert.action,
        ticker=alert.ticker,
        symbol=symbol,
        price=alert.price,
        source_ip=arrival.source_ip,
        received_at=arrival.at,
        alert_time=alert.time,
        alert_id=alert.alert_id,
        body_digest=hashlib.sha256(raw).hexdigest(),
    )
    return SignalReceived(id=signal.signal_id, occurred_at=arrival.at, signal=signal, payload=kept)


def symbol_of(ticker: str, market_type: MarketType) -> str | Refused:
    """Binance's symbol for a TradingView ticker: `BINANCE:BTCUSDT.P` is `BTCUSDT`.

    A plain ticker suits both markets; `.P`, in older alerts `PERP`, is a perpetual contract, which a spot bot does not
    trade. Symbols are ASCII letters and digits, or letters without case (Binance lists 测试USDT), and not digits alone.
    """
    found = _TICKER.fullmatch(ticker)
    if found is None or found["symbol"].isdigit() or not all(_in_symbols(letter) for letter in found["symbol"]):
        return _refused("ticker")
    if found["perpetual"] and market_type == "spot":
        return Refused("invalid_request", "ticker", "ticker: this is a futures contract, and the bot trades spot.")
    return found["symbol"].upper()


def _in_symbols(letter: str) -> bool:
    return letter.isalnum() if letter.isascii() else unicodedata.category(letter) == "Lo"


def _refused(field: str) -> Refused:
    return Refused("invalid_request", field, f"{field}: {_REMEDIES[field]}.")


def _redacted(payload: dict[str, Any], bot: Bot) -> dict[str, Any]:
    """The payload without its `secret`, and with everything masked that contains any of the bot's secrets."""
    secrets = [secret.text.get_secret_value() for secret in bot.secrets]

    def masked(value: Any) -> Any:
        if isinstance(value, dict):
            return {masked(name): masked(item) for name, item in value.items()}
        if isinstance(value, list):
            return [masked(item) for item in value]
        return _MASK if any(secret in str(value) for secret in secrets) else value

    return {masked(name): masked(value) for name, value in payload.items() if name != "secret"}
