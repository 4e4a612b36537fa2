"""Settings of the gateway, read from the environment at the door."""

from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from services.webhook_gateway.source import Networks
from shared.sealing import Cipher
from shared.settings import AmqpUrl, CommonSettings, RedisUrl, Url, accepted_by

SECRET_CONTEXT = "bot_master_webhook"  # noqa: S105 - the name of a context, the source document's own


def _networks(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


class Settings(CommonSettings):
    """What the gateway needs wherever it runs.

    `webhook_secret_keys`: the master keys, separated by commas, under which the registry encrypts webhook secrets.
    `trusted_proxies`: addresses and networks, separated by commas, whose `X-Forwarded-For` is believed.
    `redis_url`: where replicas share their rate-limit counters; without it each counts for itself.
    """

    port: int = 8002
    webhook_secret_keys: Annotated[SecretStr, accepted_by(lambda keys: Cipher(keys, SECRET_CONTEXT))]
    trusted_proxies: Annotated[Networks, NoDecode, BeforeValidator(_networks)] = ()
    redis_url: RedisUrl | None = None


class ProcessSettings(Settings):
    """What it needs besides in a process of its own. `service_token` shows the registry who asks."""

    amqp_url: AmqpUrl
    bot_registry_url: Url = "http://127.0.0.1:8003"
    service_token: SecretStr
