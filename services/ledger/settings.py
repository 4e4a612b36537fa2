"""Settings of the ledger, read from the environment at the door."""

from typing import Annotated

from pydantic import PositiveFloat, PositiveInt

from shared.settings import AmqpUrl, CommonSettings, accepted_by, database_url
from shared.web.auth import TokenVerifier


class Settings(CommonSettings):
    """What the ledger needs wherever it runs.

    `change_poll_ms`: how late a replica shows what another one wrote; the one that wrote it shows it at once.
    `stream_heartbeat_s`: below the 30 to 60 s after which proxies close a silent connection.
    """

    port: int = 8005
    change_poll_ms: PositiveInt = 500
    stream_heartbeat_s: PositiveFloat = 15


class ProcessSettings(Settings):
    """What it needs besides in a process of its own. `token_public_key` verifies what the registry signed."""

    database_url: str = database_url("ledger")
    amqp_url: AmqpUrl
    token_public_key: Annotated[str, accepted_by(TokenVerifier)]
