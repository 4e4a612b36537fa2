"""What the read side shows: items, pages and cursors."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter

from services.ledger import chain
from services.ledger.projection import Signal
from shared.contracts import CloseReason, Doubt, Environment, ExecutionStatus, MarketType, Verdict
from shared.doubts import DOUBTS
from shared.money import Amount
from shared.reasons import Explained, Kind, Reason
from shared.web.routes import Request


class Item(BaseModel):
    """Base of what lists show; made from a row."""

    model_config = ConfigDict(frozen=True)


class SignalItem(Item):
    """A signal. The counts are the bot's totals; `total_subscribers` is null until it is dispatched."""

    id: UUID = Field(validation_alias="signal_id")
    bot_id: UUID
    ticker: str | None
    action: str
    source_ip: str
    received_at: AwareDatetime
    status: Literal["pending", "settled"]
    total_subscribers: int | None
    successful_executions: int
    failed_executions: int
    skipped_executions: int
    needing_attention: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "SignalItem":
        """The item of a row of `signals`."""
        fields: dict[str, Any] = {name: row[name] for name in Signal.__dataclass_fields__}
        return cls.model_validate(fields | {"status": "settled" if Signal(**fields).is_settled else "pending"})


class ExecutionItem(Item):
    """An execution. Prices in USD, quantities in the base asset; null where the exchange did not tell."""

    id: UUID = Field(validation_alias="execution_id")
    signal_id: UUID
    subscription_id: UUID
    bot_id: UUID
    user_id: UUID
    ticker: str | None
    action: str
    status: ExecutionStatus
    exchange_order_id: str | None
    executed_price: Amount | None
    executed_quantity: Amount | None
    stop_loss_order_id: str | None
    take_profit_order_id: str | None
    stop_loss_price: Amount | None
    take_profit_price: Amount | None
    error_code: str | None
    exchange_code: int | None
    error_message: str | None
    error_message_pt: str | None
    execution_time_ms: int
    naked_ms: int | None
    recorded_at: AwareDatetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "ExecutionItem":
        """The item of a row of `executions`."""
        return cls.model_validate(dict(row))


class PositionItem(Item):
    """A position. `realized_pnl_usd` is net of commission, without funding, which is not known: null."""

    id: UUID = Field(validation_alias="position_id")
    bot_id: UUID
    subscription_id: UUID
    ticker: str
    side: Literal["long", "short"]
    quantity: Amount
    entry_price: Amount | None
    stop_loss_price: Amount | None
    take_profit_price: Amount | None
    status: Literal["open", "closed"]
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None
    close_reason: CloseReason | None
    realized_pnl_usd: Amount | None
    funding_usd: Amount | None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "PositionItem":
        """The item of a row of `positions`."""
        status = "open" if row["closed_at"] is None else "closed"
        return cls.model_validate({**row, "status": status, "funding_usd": None})


class ReasonItem(Item):
    """A value of `error_code`: whose matter it is, what it means and what to do, in English and Portuguese."""

    code: Reason
    kind: Kind
    meaning: str
    meaning_pt: str
    remedy: str
    remedy_pt: str

    @classmethod
    def of(cls, code: Reason, said: Explained) -> "ReasonItem":
        """The item of an entry of the catalogue."""
        return cls(
            code=code,
            kind=said.kind,
            meaning=said.means.en,
            meaning_pt=said.means.pt,
            remedy=said.remedy.en,
            remedy_pt=said.remedy.pt,
        )


class AttentionItem(Item):
    """An execution that could not be resolved within its bound: what is unknown, and what a person can do about it.

    Waiting while `ended_at` is null, and its account's later executions with it. `client_order_id` names the order in
    question at the exchange. `ended_by`: the administrator whose word ended it, null where it went on by itself.
    """

    id: UUID = Field(validation_alias="attention_id")
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    action: str
    symbol: str | None
    client_order_id: str | None
    doubt: Doubt
    unknown: str
    unknown_pt: str
    advice: str
    advice_pt: str
    since: AwareDatetime
    ended_at: AwareDatetime | None
    ended_by: UUID | None
    outcome: Verdict | None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "AttentionItem":
        """The item of a row of `attentions`."""
        said = DOUBTS[Doubt(row["doubt"])]
        words = {"unknown": said.unknown.en, "unknown_pt": said.unknown.pt}
        return cls.model_validate({**row, **words, "advice": said.advice.en, "advice_pt": said.advice.pt})


class StopItem(Item):
    """A stop of entries. In force while `allowed_at` is null; `exchange_code`: Binance's, or an HTTP status."""

    id: UUID = Field(validation_alias="stop_id")
    environment: Environment
    market_type: MarketType
    exchange_code: int
    message: str
    stopped_at: AwareDatetime
    allowed_at: AwareDatetime | None
    allowed_by: UUID | None


class Stops(BaseModel):
    """Where no new entry is made, and was not."""

    items: list[StopItem]


ItemT = TypeVar("ItemT", bound=Item)


class Page(BaseModel, Generic[ItemT]):
    """Part of a list, newest first. `next_cursor` asks for what follows; null at the end."""

    items: list[ItemT]
    next_cursor: str | None


class FirstBad(BaseModel):
    """The first position that is not as it was sealed; `execution_id` is null where nothing remembers it."""

    position: int
    execution_id: UUID | None
    reason: chain.Reason


class Audit(BaseModel):
    """Whether every record is as it was sealed. `first_bad` is there only when it is not."""

    ok: bool
    records: int
    first_bad: FirstBad | None = Field(default=None, exclude_if=lambda bad: bad is None)


def _cursor(shape: Any) -> Any:
    """A query field that takes a cursor made by `cursor_of` from a key of this shape."""
    adapter = TypeAdapter[Any](shape)

    def read(text: str) -> Any:
        try:
            return adapter.validate_json(base64.urlsafe_b64decode(text + "=="))
        except ValueError:
            raise ValueError("is none of this list's; take a page's next_cursor, or leave it out") from None

    return PlainValidator(read, json_schema_input_type=str)


def cursor_of(key: tuple[Any, UUID] | None) -> str | None:
    """The cursor that goes on after `key`."""
    if key is None:
        return None
    text = orjson.dumps(key, default=str)  # asyncpg's UUIDs are a class of their own, which orjson does not know
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


_TimeKey = tuple[AwareDatetime, UUID]
_PlaceKey = tuple[Annotated[int, Field(ge=0, lt=1 << 63)], UUID]


class ListQuery(Request):
    """What every list takes."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class SignalsQuery(ListQuery):
    """Which signals."""

    bot_id: UUID | None = None
    cursor: Annotated[_TimeKey | None, _cursor(_TimeKey)] = None


class SignalQuery(Request):
    """`wait`: seconds to hold the answer until the signal is settled."""

    wait: Annotated[float, Field(ge=0, le=30)] = 0


class ExecutionsQuery(ListQuery):
    """Which executions."""

    signal_id: UUID | None = None
    subscription_id: UUID | None = None
    status: ExecutionStatus | None = None
    cursor: Annotated[_PlaceKey | None, _cursor(_PlaceKey)] = None


class AttentionQuery(ListQuery):
    """Which executions that need attention, or did."""

    status: Literal["waiting", "ended"] | None = "waiting"
    cursor: Annotated[_TimeKey | None, _cursor(_TimeKey)] = None


class PositionsQuery(ListQuery):
    """Which positions."""

    status: Literal["open", "closed"] | None = None
    subscription_id: UUID | None = None
    cursor: Annotated[_TimeKey | None, _cursor(_TimeKey)] = None
