"""Passwords: Argon2id, beside the event loop. Checking takes the same work whether the user exists or not."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from pydantic import SecretStr

_HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)  # RFC 9106, second recommended option
# made by the hasher above from random bytes that nobody kept
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$aFFJZdLzx6+KsA5VGJeS6Q$oe8T1U3zWGJbjUhP3OUHTA6iceI5yWiLCP0g3gMNOvE"


async def hash_of(password: SecretStr) -> str:
    """What to store for a password."""
    return await asyncio.to_thread(_HASHER.hash, password.get_secret_value())


async def matches(password: SecretStr, stored: str | None) -> bool:
    """Whether `stored` was made from `password`; null, for a user that does not exist, never is."""
    right = await asyncio.to_thread(_verify, stored or _NOBODYS, password.get_secret_value())
    return right and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except VerifyMismatchError:
        return False
