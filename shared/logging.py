"""Structured logs: an event's name, its fields, and no secret."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

_SECRET_NAME = re.compile(r"secret|password|api_key|token|signature|credentials|authorization", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""(?ix) (["']?(?:secret|password|signature|api_?key|access_token)["']?\s*[=:]\s*) (?:"[^"]*"|'[^']*'|[^\s&,}]+)"""
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s@]+@")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides the value of every field named like a secret, and secrets inside texts."""
    for name, value in event.items():
        event[name] = _clean(name, value)
    return event


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return "***"
    if isinstance(value, str):
        return _URL_PASSWORD.sub(r"\1***@", _SECRET_TEXT.sub(r"\1***", value))
    if isinstance(value, Mapping):
        return {key: _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    return value


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Set up structlog, and send the warnings of libraries the same way, to standard error."""
    renderer: Any = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer()
    stamp: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    finish: list[Any] = [structlog.processors.format_exc_info, redact, renderer]
    structlog.configure(
        processors=stamp + finish,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=stamp, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
