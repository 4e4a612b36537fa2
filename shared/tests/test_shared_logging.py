import json
import subprocess
import sys
from typing import Any

import pytest

from shared.logging import redact


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "master_secret",
        "password",
        "api_key",
        "access_token",
        "signature",
        "sealed_credentials",
        "Authorization",
    ],
)
def test_a_field_named_like_a_secret_is_hidden(name: str) -> None:
    assert redact(None, "info", {"event": "x", name: "hush"}) == {"event": "x", name: "***"}


@pytest.mark.parametrize(
    "text",
    [
        '{"secret": "hush", "ticker": "BTCUSDT"}',
        "{'api_secret': 'hush'}",
        "GET /x?signature=hush&symbol=BTCUSDT",
        "password = hush",
        "api_key: hush,",
        "cannot connect to amqp://guest:hush@127.0.0.1/",
        "postgresql+asyncpg://ledger:hush@db/tradecast refused",
    ],
)
def test_a_secret_inside_a_text_is_hidden(text: str) -> None:
    said = redact(None, "info", {"event": "x", "reason": text})["reason"]
    assert "hush" not in said
    assert "***" in said


def test_secrets_are_hidden_however_deep_they_lie() -> None:
    event = redact(None, "info", {"event": "x", "body": {"list": [{"secret": "hush"}, "secret=hush"], "n": 1}})
    assert event["body"] == {"list": [{"secret": "***"}, "secret=***"], "n": 1}


@pytest.mark.parametrize("text", ["BTCUSDT", "the secretary: Ann", "https://example.com/a@b", "12:30"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(None, "info", {"event": "x", "reason": text, "n": 1}) == {"event": "x", "reason": text, "n": 1}


_PROGRAM = """
import logging, structlog, shared.logging
shared.logging.configure("INFO", "json")
log = structlog.get_logger()
log.debug("unheard")
log.info("order_placed", symbol="BTCUSDT", api_key="hush")
try:
    raise ValueError("password=hush")
except ValueError:
    log.error("failed", exc_info=True)
logging.getLogger("aiormq").warning("lost %s", "amqp://guest:hush@broker/")
logging.getLogger("aiormq").info("unheard")
"""


def test_a_process_writes_one_json_document_a_line_for_itself_and_its_libraries_and_no_secret() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert [line["event"] for line in lines] == ["order_placed", "failed", "lost amqp://guest:***@broker/"]
    assert [line["level"] for line in lines] == ["info", "error", "warning"]
    assert "ValueError" in lines[1]["exception"]
    assert "hush" not in done.stderr
