"""Settings: read from the environment once, at the door. A missing or bad variable is one clear line and exit 2."""

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AliasChoices, Field, PositiveFloat, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import logging


class CommonSettings(BaseSettings):
    """What every process reads.

    `ask_again_after_s`: how long what was told may go unanswered before it is told again.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    ask_again_after_s: PositiveFloat = 60.0


def _only_rabbitmq(url: str) -> str:
    if not url.startswith(("amqp://", "amqps://")):
        raise ValueError("amqp://… or amqps://…; memory:// exists in the one-process mode only (make run)")
    return url


AmqpUrl = Annotated[str, AfterValidator(_only_rabbitmq)]
"""RabbitMQ's address, user and password included."""


def _redis_address(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("redis://… or rediss://…")
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_address)]
"""Redis's address, password included."""


def database_url(service: str) -> Any:
    """The field of a service's own DATABASE_URL: `<SERVICE>_DATABASE_URL` where given, else the common one."""
    return Field(
        validation_alias=AliasChoices(f"{service}_DATABASE_URL".upper(), "DATABASE_URL"),
        pattern=r"^(postgresql\+asyncpg|sqlite\+aiosqlite)://",
    )


def accepted_by(use: Callable[[str], object]) -> AfterValidator:
    """Refuse at the door a key that `use` cannot work with; `use` raises ValueError."""

    def check(key: Any) -> Any:
        use(key.get_secret_value() if isinstance(key, SecretStr) else key)
        return key

    return AfterValidator(check)


Url = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(lambda url: url.rstrip("/"))]
"""An HTTP address, without a slash at its end."""


SettingsT = TypeVar("SettingsT", bound=CommonSettings)


def read(kind: type[SettingsT]) -> SettingsT:
    """The settings of a process from its environment, and logging set up by them.

    Names the first missing or bad variable on standard error and exits with 2.
    """
    try:
        settings = kind()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper() or "the environment"
        if name.endswith("_DATABASE_URL"):
            name = f"DATABASE_URL (or {name})"
        problem = "is missing" if first["type"] == "missing" else f"is not usable: {first['msg']}"
        print(f"{name} {problem}", file=sys.stderr)
        raise SystemExit(2) from None
    logging.configure(settings.log_level, settings.log_format)
    return settings
