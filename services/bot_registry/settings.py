"""The HTTP process's settings."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from services.bot_registry.http.fields import Email
from shared.sealing import Cipher, Sealer
from shared.settings import AmqpUrl, CommonSettings, Url, accepted_by, database_url
from shared.web.auth import TokenIssuer


class Settings(CommonSettings):
    """What the HTTP side needs wherever it runs. Keys are 32 bytes in URL-safe base64."""

    port: int = 8003
    public_url: Url = "http://127.0.0.1:8000"  # the origin that TradingView and browsers see
    service_token: SecretStr = Field(min_length=16)  # what the gateway asks for the directory with
    webhook_secret_keys: Annotated[SecretStr, accepted_by(lambda keys: Cipher(keys, "any"))]
    token_private_key: Annotated[SecretStr, accepted_by(lambda key: TokenIssuer(key, timedelta(0)))]
    sealing_public_key: Annotated[str, accepted_by(Sealer)]
    admin_email: Email | None = None
    admin_password: SecretStr | None = None
    paper_exchange_url: Url | None = None  # null: paper accounts are not offered
    binance_spot_url: Url = "https://api.binance.com"
    binance_testnet_futures_url: Url = "https://demo-fapi.binance.com"
    live_trading: bool = True

    @model_validator(mode="after")
    def _whole_administrator(self) -> "Settings":
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD go together: give both or neither")
        return self


class ProcessSettings(Settings):
    """What it needs besides in a process of its own."""

    database_url: str = database_url("bot_registry")
    amqp_url: AmqpUrl
