"""Who is calling: short-lived access tokens (JWT, Ed25519), issued by the registry, verified by anyone."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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

    def __init__(self, private_key: str, lifetime: timedelta) -> None:
        """`private_key`: Ed25519, 32 bytes in URL-safe base64. Raises ValueError if it is not one."""
        self._key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(private_key))
        self.lifetime = lifetime

    @property
    def public_key(self) -> str:
        """The key that verifies what this one signs, in URL-safe base64."""
        return base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode()

    def issue(self, identity: Identity, now: datetime) -> str:
        """A token for `identity` that holds for `lifetime`."""
        claims = {
            "iss": _ISSUER,
            "sub": str(identity.user_id),
            "role": identity.role,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)


class TokenVerifier:
    """Checks access tokens."""

    def __init__(self, public_key: str) -> None:
        """`public_key`: Ed25519, 32 bytes in URL-safe base64. Raises ValueError if it is not one."""
        self._key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(public_key))

    def identity(self, request: web.Request) -> Identity:
        """Who sent this request. Raises Problem 401 without a valid bearer token.

        A live stream may carry the token as `?access_token=`: a browser's EventSource cannot send headers of its own.
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            is_stream = "text/event-stream" in request.headers.get("Accept", "")
            token = request.query.get("access_token", "") if is_stream else ""
        try:
            claims = jwt.decode(token, self._key, [_ALGORITHM], issuer=_ISSUER)
            return Identity(UUID(claims["sub"]), Role(claims["role"]))
        except (jwt.InvalidTokenError, KeyError, ValueError):
            raise Problem(
                401,
                "not_authenticated",
                "Log in and send the access token as 'Authorization: Bearer …'.",
                headers={"WWW-Authenticate": "Bearer"},
            ) from None
