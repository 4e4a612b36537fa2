"""`python -m embedded`: everything in one process, for a first look, a demo, paper trading."""

import asyncio
import sys

from embedded import house
from embedded.settings import Settings
from shared import keys
from shared.settings import read
from shared.web import server
from shared.web.auth import TokenVerifier


def main(settings: Settings) -> None:
    """Run until told to stop."""
    url = f"http://{settings.host}:{settings.port}"
    print(f"Tradecast: {url}   API: {url}/docs   data: {settings.data_dir}", flush=True)
    print(f"Log in as {settings.admin_email} with {_password(settings)}", flush=True)
    if settings.allow_live_trading:
        print(
            "LIVE TRADING IS ALLOWED: this process trades real money, and signals in its bus die with it.", flush=True
        )
    services = house.build(settings)
    verifier = TokenVerifier(keys.load_or_make(settings.data_dir)["TOKEN_PUBLIC_KEY"])
    try:
        asyncio.run(server.run(services, settings.host, settings.port, verifier))
    except OSError as error:
        sys.exit(f"PORT {settings.port} (or {settings.port + 1}, for the paper exchange) cannot be used: {error}")


def _password(settings: Settings) -> str:
    if "admin_password" in settings.model_fields_set:
        return "the password of ADMIN_PASSWORD"
    return f"password {settings.admin_password.get_secret_value()} (a demo's: set ADMIN_EMAIL and ADMIN_PASSWORD)"


if __name__ == "__main__":
    main(read(Settings))
