"""Structured logs: an event's name, its fields, and no secret."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_SECRET_NAME = re.compile(r"secret|password|api_key|token|signature|credentials|authorization", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""(?ix) (["']?(?:secret|password|signature|api_?key|access_token)["']?\s*[=:]\s*) (?:"[^"]*"|'[^']*'|[^\s&,}]+)"""
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides the value of every field named like a secret, and secrets inside texts."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(r"\1***", value)
    return event


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Set up structlog and route the standard library's warnings through it, to standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    renderer: Any = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
