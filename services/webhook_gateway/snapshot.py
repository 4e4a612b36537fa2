"""Asks the registry for all bots."""

from collections.abc import Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import BaseModel, SecretStr, ValidationError

from services.webhook_gateway.directory import Snapshot
from shared.contracts import BotEntry
from shared.errors import Transient

_WITHIN = ClientTimeout(total=5)


class _Answer(BaseModel):
    bots: tuple[BotEntry, ...]


def from_registry(url: str, service_token: SecretStr) -> Snapshot:
    """A snapshot over HTTP from the registry at `url`."""
    headers = {"Authorization": f"Bearer {service_token.get_secret_value()}"}

    async def snapshot() -> Sequence[BotEntry]:
        try:
            async with (
                ClientSession(url, timeout=_WITHIN, raise_for_status=True) as session,
                session.get("/internal/v1/directory", headers=headers) as response,
            ):
                return _Answer.model_validate_json(await response.read()).bots
        except (ClientError, TimeoutError, OSError, ValidationError) as error:
            raise Transient(f"registry: {type(error).__name__}: {getattr(error, 'status', '')}") from None

    return snapshot
