"""Settings of the one-process mode."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from shared.settings import CommonSettings


class Settings(CommonSettings):
    """What `make run` reads. `paper_exchange_url`: use that one and start none.

    `allow_live_trading`: real money in a process whose bus does not outlive it; off unless asked for in so many words.
    """

    port: int = 8000
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    log_format: Literal["json", "console"] = "console"
    data_dir: Path = Path(".data")
    admin_email: str = "admin@example.com"
    admin_password: SecretStr = SecretStr("admin-demo-password")
    paper_exchange_url: str | None = None
    redis_url: SecretStr | None = None
    trusted_proxies: str = ""
    public_url: str | None = None
    allow_live_trading: bool = False
