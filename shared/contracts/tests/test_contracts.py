import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
import pytest

from shared.bus.topology import QUEUES, exchange_of
from shared.contracts import MESSAGES, BotChanged, ExecutionFinished, Message, Unreadable, dump, parse
from tools import schemas

WHEN = "2026-11-22T12:00:00.123456Z"
AMOUNT = "95234.00000001"


def example(kind: type[Message], *, full: bool) -> Message:
    """A message with every optional field given, or none."""
    document = kind.model_json_schema()
    return kind.model_validate(_filled(document, document.get("$defs", {}), full=full))


def _filled(schema: dict[str, Any], models: dict[str, Any], *, full: bool) -> Any:
    if "$ref" in schema:
        return _filled(models[schema["$ref"].rsplit("/", 1)[1]], models, full=full)
    if "enum" in schema:
        return schema["enum"][-1]
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("format") != "decimal"]
        nullable = {"type": "null"} in choices
        return None if nullable and not full else _filled(choices[0], models, full=full)
    if schema["type"] == "object":
        names = schema.get("properties", {}) if full else schema.get("required", [])
        fields = {name: _filled(schema["properties"][name], models, full=full) for name in names}
        return fields if "properties" in schema else {"comment": "free", "nested": [1, None, {"a": True}]}
    if schema["type"] == "array":
        return [_filled(schema["items"], models, full=full)] * (2 if full else 0)
    if schema["type"] == "number":
        return Decimal(AMOUNT)
    if schema["type"] == "boolean":
        return True
    if schema["type"] == "integer":
        return 7
    return {"uuid": str(uuid4()), "date-time": WHEN}.get(schema.get("format", ""), "text")


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_every_message_survives_the_wire_unchanged(kind: type[Message], full: bool) -> None:
    message = example(kind, full=full)
    again = parse(message.TYPE, dump(message))
    assert again == message
    assert type(again) is kind


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_on_the_wire_a_message_names_its_type_and_has_no_fraction_as_a_number(kind: type[Message]) -> None:
    message = example(kind, full=True)
    body = orjson.loads(dump(message))
    assert body["type"] == kind.TYPE
    assert body["id"] == str(message.id)
    assert body["occurred_at"] == WHEN
    assert not any(isinstance(leaf, float) for leaf in leaves(body))


def test_amounts_travel_as_plain_decimal_texts() -> None:
    body = orjson.loads(dump(example(ExecutionFinished, full=True)))
    assert body["executed_price"] == AMOUNT


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("type_", MESSAGES)
def test_every_type_has_a_version_and_a_queue_that_takes_it(type_: str) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)+\.v[1-9]", type_)
    assert any(queue.exchange is exchange_of(type_) and queue.takes(type_) for queue in QUEUES if not queue.broadcast)


def test_a_reader_ignores_fields_that_a_newer_writer_added() -> None:
    message = some_bot_changed()
    body = orjson.loads(dump(message))
    body["bot"]["colour"] = "green"
    assert parse(message.TYPE, orjson.dumps(body | {"added_later": 1})) == message


def some_bot_changed() -> BotChanged:
    return BotChanged.model_validate(
        {
            "id": uuid4(),
            "occurred_at": "2026-11-22T12:00:00Z",
            "bot": {
                "bot_id": uuid4(),
                "revision": 1,
                "webhook_path": "p",
                "secrets": [{"token": "gAAAA"}],
                "status": "active",
                "market_type": "futures",
                "rate_limit_per_minute": 10,
            },
        }
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe"])
def test_bytes_that_are_no_message_are_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(BotChanged.TYPE, body)


def test_an_unknown_type_is_unreadable_and_named() -> None:
    with pytest.raises(Unreadable, match=r"order\.placed\.v1"):
        parse("order.placed.v1", b"{}")


def test_what_is_said_of_an_unreadable_message_names_the_field_and_none_of_its_content() -> None:
    body = orjson.loads(dump(some_bot_changed()))
    body["bot"]["secrets"] = [{"token": ["hush"]}]
    with pytest.raises(Unreadable) as caught:
        parse(BotChanged.TYPE, orjson.dumps(body))
    assert "bot.secrets.0.token" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_float_never_becomes_an_amount() -> None:
    fields = dict.fromkeys(("execution_id", "signal_id", "bot_id", "subscription_id", "user_id", "id"), str(uuid4()))
    finished: dict[str, Any] = fields | {
        "occurred_at": "2026-11-22T12:00:00Z",
        "ticker": "BTCUSDT",
        "action": "buy",
        "status": "success",
        "execution_time_ms": 1,
    }
    parse(ExecutionFinished.TYPE, orjson.dumps(finished | {"executed_price": "0.1"}))
    with pytest.raises(Unreadable, match="executed_price"):
        parse(ExecutionFinished.TYPE, orjson.dumps(finished | {"executed_price": 0.1}))


def test_the_contract_is_what_was_decided() -> None:
    assert schemas.current() == schemas.golden(), "meant to? then run: python -m tools.schemas, and commit what changes"
