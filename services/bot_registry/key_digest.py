"""Recognises an exchange key that came before, without keeping it: HMAC-SHA256 under keys of this service. Pure."""

import base64
import hashlib
import hmac

from pydantic import SecretStr

_CONTEXT = b"tradecast exchange key digest v1"


class KeyDigest:
    """Makes digests of exchange keys."""

    def __init__(self, master_keys: SecretStr) -> None:
        """`master_keys`: URL-safe base64, separated by commas; the first is the current one (rotation)."""
        self._keys = [
            hmac.digest(base64.urlsafe_b64decode(key), _CONTEXT, hashlib.sha256)
            for key in master_keys.get_secret_value().split(",")
        ]

    def all_of(self, api_key: SecretStr) -> list[str]:
        """The key's digest under every master key, in hex, the current one first."""
        return [hmac.digest(key, api_key.get_secret_value().encode(), hashlib.sha256).hex() for key in self._keys]
