"""The keys by which hosts know each other: an Ed25519 key for each host, or one secret that all share."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sidecar.model import ConfigError

PRIVATE, PUBLIC = "zmban-private-ed25519", "ed25519"
_LEAST_SECRET = 32


class Signer(Protocol):
    """Signs for this host, and checks the signatures of others. `knows` is None where every host with the
    secret is a member."""

    length: int
    knows: frozenset[str] | None

    def sign(self, message: bytes) -> bytes:
        """A signature of `length` bytes."""

    def is_signed_by(self, host: str, message: bytes, signature: bytes) -> bool:
        """Whether a host that is trusted signed this message."""


class HostKeys:
    """Each host has its own key, and trusts the public keys of the others by name."""

    length = 64

    def __init__(self, host: str, private: str, trusted: Mapping[str, str]) -> None:
        """`private` is the text of the key file, `trusted` the public key by name of the host.
        ConfigError."""
        word, _, text = private.strip().partition(":")
        if word != PRIVATE:
            raise ConfigError("[cluster] key_file holds no key; make one: zmban cluster keys --new FILE")
        self._private = Ed25519PrivateKey.from_private_bytes(_decoded(text, "key_file"))
        self._trusted = {name: _public(name, key) for name, key in trusted.items()}
        self._trusted[host] = self._private.public_key()
        self.knows: frozenset[str] | None = frozenset(self._trusted)

    @property
    def public(self) -> str:
        """The public key, as the other hosts write it into `trust`."""
        return f"{PUBLIC}:{_text(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))}"

    def sign(self, message: bytes) -> bytes:
        """The signature of this host."""
        return self._private.sign(message)

    def is_signed_by(self, host: str, message: bytes, signature: bytes) -> bool:
        """Whether the private key of that host made the signature."""
        if (key := self._trusted.get(host)) is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SharedSecret:
    """One secret for all hosts of a group: who has it can speak for each of them."""

    length = 32
    knows: frozenset[str] | None = None

    def __init__(self, secret: str) -> None:
        """ConfigError for a secret that can be guessed."""
        if len(secret.strip()) < _LEAST_SECRET:
            raise ConfigError(
                f"[cluster] shared_key_file holds fewer than {_LEAST_SECRET} characters; "
                "make one: openssl rand -base64 33 >FILE"
            )
        self._key = hashlib.sha256(b"zmban cluster\0" + secret.strip().encode()).digest()

    def sign(self, message: bytes) -> bytes:
        """The authentication code of the group."""
        return hmac.digest(self._key, message, "sha256")

    def is_signed_by(self, host: str, message: bytes, signature: bytes) -> bool:
        """Whether someone with the secret made the code. The name of the host is part of the message."""
        return hmac.compare_digest(self.sign(message), signature)


def new_key() -> tuple[str, str]:
    """The text of a new key file, and its public key."""
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    text = f"{PRIVATE}:{_text(private)}"
    return f"{text}\n", HostKeys("", text, {}).public


def _public(host: str, key: str) -> Ed25519PublicKey:
    word, _, text = key.partition(":")
    if word != PUBLIC:
        raise ConfigError(
            f"[cluster] trust: {host}: write HOST={PUBLIC}:KEY, as zmban cluster keys prints it"
        )
    return Ed25519PublicKey.from_public_bytes(_decoded(text, f"trust: {host}"))


def _decoded(text: str, where: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ConfigError(f"[cluster] {where}: the key is damaged; it has 32 bytes in Base64")
    return raw


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
