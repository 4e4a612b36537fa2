"""Who is calling: short-lived access tokens (JWT, Ed25519), issued by the registry, verified by anyone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from shared.web.problems import Problem

_ALGORITHM = "EdDSA"
_ISSUER = "tradecast"


class Role(StrEnum):
    """What a user may do: an administrator everything, a customer what is theirs."""

    ADMIN = "admin"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller whose token was good."""

    user_id: UUID
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator."""
        return self.role is Role.ADMIN

    @property
    def scope(self) -> UUID | None:
        """Whose things the caller may see: their own id, or null for everybody's."""
        return None if self.is_admin else self.user_id


class TokenIssuer:
    """Signs access tokens."""

    def __init__(self, private_key_pem: str, lifetime: timedelta) -> None:
        """Raises ValueError if the PEM is not a private key."""
        self._key = load_pem_private_key(private_key_pem.encode(), None)
        self.lifetime = lifetime

    def issue(self, identity: Identity, now: datetime) -> str:
        """A token for `identity` that holds for `lifetime`."""
        claims = {
            "iss": _ISSUER,
            "sub": str(identity.user_id),
            "role": identity.role,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)  # type: ignore[arg-type]  # any private key type loads; ours is Ed25519


class TokenVerifier:
    """Checks access tokens."""

    def __init__(self, public_key_pem: str) -> None:
        """Raises ValueError if the PEM is not a public key."""
        self._key = load_pem_public_key(public_key_pem.encode())

    def identity(self, request: web.Request) -> Identity:
        """Who sent this request. Raises Problem 401 without a valid bearer token.

        The live stream takes the token as `?access_token=` too: a browser's EventSource cannot send headers.
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            token = request.query.get("access_token", "")
        try:
            claims = jwt.decode(token, self._key, [_ALGORITHM], issuer=_ISSUER)  # type: ignore[arg-type]  # as above
            return Identity(UUID(claims["sub"]), Role(claims["role"]))
        except (jwt.InvalidTokenError, KeyError, ValueError):
            raise Problem(
                401,
                "not_authenticated",
                "Log in and send the access token as 'Authorization: Bearer …'.",
                headers={"WWW-Authenticate": "Bearer"},
            ) from None
