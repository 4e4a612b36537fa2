"""The keys of an installation on one machine: made once, kept in a folder that only its owner reads."""

from datetime import timedelta
from pathlib import Path

from shared.sealing import new_key, public_key_of
from shared.web.auth import TokenIssuer

_FILE = "keys.env"


def load_or_make(folder: Path) -> dict[str, str]:
    """The keys as environment variables, from `folder`, or new ones that are then kept there.

    Elsewhere they come from a secret store; what each is for stands in `docs/security.md`.
    """
    file = folder / _FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=True)
        file.write_text("".join(f"{name}={value}\n" for name, value in _new().items()))
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line)


def _new() -> dict[str, str]:
    token_key, sealing_key = new_key(), new_key()
    return {
        "SERVICE_TOKEN": new_key(),
        "WEBHOOK_SECRET_KEYS": new_key(),
        "TOKEN_PRIVATE_KEY": token_key,
        "TOKEN_PUBLIC_KEY": TokenIssuer(token_key, timedelta(0)).public_key,
        "SEALING_PRIVATE_KEYS": sealing_key,
        "SEALING_PUBLIC_KEY": public_key_of(sealing_key),
    }
