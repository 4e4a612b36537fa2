"""Secrets at rest and on the way: encrypted under a key of their context, or sealed to who may open them.

Webhook secrets: Fernet, key derived from a master key per context, so that a token moved elsewhere does not decrypt.
Exchange keys: sealed to the executors' X25519 public key (ephemeral key, HKDF-SHA256, AES-256-GCM); who seals cannot
open again. The account's id is bound in as associated data.
"""

import base64
import os
from dataclasses import dataclass
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

_NONCE_BYTES = 12
_KEY_BYTES = 32


class CannotOpen(Exception):
    """The box or token was made for another key, another account or another purpose, or was changed."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A customer's key at the exchange. Never printed."""

    api_key: SecretStr
    api_secret: SecretStr


class Cipher:
    """Encrypts and decrypts texts of one context, for example `bot_master_webhook`."""

    def __init__(self, master_keys: str, context: str) -> None:
        """`master_keys`: base64 keys separated by commas; the first encrypts, all decrypt (rotation).

        Raises ValueError if one is not 32 bytes in URL-safe base64.
        """
        self._fernet = MultiFernet([Fernet(_derive(key, context)) for key in master_keys.split(",")])

    def encrypt(self, text: SecretStr) -> str:
        """A token that only this context's key decrypts."""
        return self._fernet.encrypt(text.get_secret_value().encode()).decode()

    def decrypt(self, token: str) -> SecretStr:
        """The text again. Raises CannotOpen."""
        try:
            return SecretStr(self._fernet.decrypt(token).decode())
        except InvalidToken as error:
            raise CannotOpen("the token was made with another key or for another purpose") from error


def _derive(master_key: str, context: str) -> bytes:
    raw = _decode_key(master_key)
    return base64.urlsafe_b64encode(HKDF(hashes.SHA256(), _KEY_BYTES, None, context.encode()).derive(raw))


def _decode_key(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text)
    if len(raw) != _KEY_BYTES:
        raise ValueError("a key is 32 bytes in URL-safe base64")
    return raw


def new_key() -> str:
    """A random key: 32 bytes in URL-safe base64. Serves as Fernet master key and as X25519 private key."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def public_key_of(private_key: str) -> str:
    """The X25519 public key to a private one, both in URL-safe base64."""
    public = X25519PrivateKey.from_private_bytes(_decode_key(private_key)).public_key()
    return base64.urlsafe_b64encode(public.public_bytes_raw()).decode()


class Sealer:
    """Seals exchange keys. Holds no key that opens them."""

    def __init__(self, public_key: str) -> None:
        """`public_key`: X25519, URL-safe base64. Raises ValueError if it is not one."""
        self._public = X25519PublicKey.from_public_bytes(_decode_key(public_key))

    def seal(self, credentials: Credentials, exchange_account_id: UUID) -> str:
        """A box that only the executors open, and only as this account's."""
        ephemeral = X25519PrivateKey.generate()
        header = ephemeral.public_key().public_bytes_raw()
        nonce = os.urandom(_NONCE_BYTES)
        key = _box_key(ephemeral.exchange(self._public), header, self._public.public_bytes_raw())
        text = orjson.dumps([credentials.api_key.get_secret_value(), credentials.api_secret.get_secret_value()])
        box = AESGCM(key).encrypt(nonce, text, exchange_account_id.bytes)
        return base64.urlsafe_b64encode(header + nonce + box).decode()


class Opener:
    """Opens what a Sealer sealed. Executors and the watcher hold it, nobody else."""

    def __init__(self, private_keys: str) -> None:
        """`private_keys`: X25519, URL-safe base64, separated by commas (rotation). Raises ValueError."""
        self._keys = [X25519PrivateKey.from_private_bytes(_decode_key(key)) for key in private_keys.split(",")]

    def open(self, box: str, exchange_account_id: UUID) -> Credentials:
        """The exchange key of this account. Raises CannotOpen."""
        for private in self._keys:
            try:
                api_key, api_secret = orjson.loads(_unbox(private, box, exchange_account_id))
            except (InvalidTag, ValueError):  # ValueError: not even the shape of a box
                continue
            return Credentials(SecretStr(api_key), SecretStr(api_secret))
        raise CannotOpen("sealed for another key or another account, or changed")


def _unbox(private: X25519PrivateKey, box: str, exchange_account_id: UUID) -> bytes:
    raw = base64.urlsafe_b64decode(box)
    header, rest = raw[:_KEY_BYTES], raw[_KEY_BYTES:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(header))
    key = _box_key(shared, header, private.public_key().public_bytes_raw())
    return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], exchange_account_id.bytes)


def _box_key(shared_secret: bytes, ephemeral_public: bytes, recipient_public: bytes) -> bytes:
    info = b"tradecast exchange key v1" + ephemeral_public + recipient_public
    return HKDF(hashes.SHA256(), _KEY_BYTES, None, info).derive(shared_secret)
