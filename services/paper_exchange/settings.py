"""Settings of the paper exchange, read from the environment once."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.paper_exchange.feed import STANDING, read_feed


def _is_feed(text: str) -> str:
    read_feed(text)
    return text


class Settings(BaseSettings):
    """`HOST`, `PORT`, `LOG_LEVEL`, `LOG_FORMAT`, `DATA_DIR`, `PAPER_ENFORCE_WEIGHT`, `PAPER_PRICES`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65535)
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(str.lower)] = "info"
    log_format: Literal["json", "console"] = "json"
    # Where given, accounts and prices survive a restart in DATA_DIR/paper_exchange.sqlite3.
    data_dir: Path | None = None
    # Off by default: a whole demo shares one address, and would be refused at 2,400 a minute.
    paper_enforce_weight: bool = False
    # How prices move by themselves, see `feed`: standing, walk:…, script:<file> or csv:<file>.
    paper_prices: Annotated[str, AfterValidator(_is_feed)] = STANDING
