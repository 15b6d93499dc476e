"""TLS and passwords of the metrics address, by a file in the format of Prometheus' exporters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import secrets
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

import bcrypt
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sidecar.model import ConfigError, Seconds, printable
from sidecar.serve.web.routing import WebError
from sidecar.serve.web.sign_in.sessions import Attempts
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.serve")

# How often the files are looked at: certificates are renewed while the service runs.
_LOOK_EVERY: Seconds = 10.0
_MOST_REMEMBERED = 100
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def _hash(text: str) -> str:
    """Check a hash by trying it."""
    try:
        bcrypt.checkpw(b"x", text.encode())
    except ValueError:
        raise ValueError("is no bcrypt hash; make one with: htpasswd -nBC 10 NAME") from None
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsPart(_Part):
    """`tls_server_config`. Paths are relative to the file."""

    cert_file: str
    key_file: str
    client_ca_file: str = ""
    client_auth_type: Literal["", "NoClientCert", "RequireAndVerifyClientCert"] = ""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"


class WebConfig(_Part):
    """The whole file."""

    tls_server_config: TlsPart | None = None
    basic_auth_users: Annotated[dict[str, Annotated[str, AfterValidator(_hash)]], Field(default_factory=dict)]


class WebConfigFile:
    """The file at `path`. It is read again when it or a certificate changes; while the new one is faulty, the
    old one stays in force, and `fault` says so."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._config: WebConfig | None = None
        self._context: ssl.SSLContext | None = None
        self._looked, self._seen = float("-inf"), ""
        self._attempts = Attempts(time.monotonic)
        # Passwords that were right, by a digest with this key: bcrypt takes 50 ms.
        self._key, self._right = secrets.token_bytes(32), dict[bytes, None]()
        self.fault = ""

    async def context(self) -> ssl.SSLContext | None:
        """What a new connection needs, None without TLS. ConfigError if the file was never right."""
        if time.monotonic() - self._looked >= _LOOK_EVERY or self._config is None:
            await self._look()
        return self._context

    async def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            seen = await run_detached(self._marks)
            if seen == self._seen and self._config is not None:
                return
            self._config, self._context = await run_detached(self._read)
        except ConfigError as error:
            if self._config is None:
                raise
            if str(error) != self.fault:
                _log.error("%s; the earlier one stays in force", error)
            self.fault = str(error)
            return
        self._seen, self.fault = seen, ""
        self._right.clear()

    def _marks(self) -> str:
        """Changes when a file changes."""
        files = [self._path]
        if self._config and (tls := self._config.tls_server_config):
            files += [self._beside(one) for one in (tls.cert_file, tls.key_file, tls.client_ca_file) if one]
        try:
            return " ".join(f"{one}:{(s := one.stat()).st_mtime_ns}:{s.st_ino}:{s.st_size}" for one in files)
        except OSError as error:
            raise ConfigError(f"[serve] web_config: {error.filename}: {error.strerror}") from None

    def _beside(self, path: str) -> Path:
        return self._path.parent / path

    def _read(self) -> tuple[WebConfig, ssl.SSLContext | None]:
        try:
            found = WebConfig.model_validate(yaml.safe_load(self._path.read_bytes()) or {})
        except OSError as error:
            raise ConfigError(f"[serve] web_config: {self._path}: {error.strerror}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{self._path}:{mark.line + 1}" if mark else str(self._path)
            raise ConfigError(
                f"[serve] web_config: {place}: {getattr(error, 'problem', 'is no YAML')}"
            ) from None
        except ValidationError as error:
            raise ConfigError(f"[serve] web_config: {self._path}: {_sentence(error)}") from None
        if not found.tls_server_config and not found.basic_auth_users:
            text = "has neither tls_server_config nor basic_auth_users; write one, or leave web_config empty"
            raise ConfigError(f"[serve] web_config: {self._path}: {text}")
        tls = found.tls_server_config
        return found, self._tls(tls) if tls else None

    def _tls(self, tls: TlsPart) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[tls.min_version]
        try:
            context.load_cert_chain(self._beside(tls.cert_file), self._beside(tls.key_file))
            if tls.client_auth_type == "RequireAndVerifyClientCert":
                context.load_verify_locations(self._beside(tls.client_ca_file))
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            what = error.strerror or getattr(error, "reason", "") or type(error).__name__
            text = f"tls_server_config: {what}: check cert_file, key_file and client_ca_file"
            raise ConfigError(f"[serve] web_config: {self._path}: {text}") from None
        return context

    async def check(self, authorization: str, peer: str) -> None:
        """WebError unless this header names a user with the right password; anything is right without
        users."""
        users = self._config.basic_auth_users if self._config else {}
        if not users:
            return
        if wait := self._attempts.wait(peer):
            text = f"too many wrong passwords; try again in {wait:.0f} s"
            raise WebError(HTTPStatus.TOO_MANY_REQUESTS, text, wait)
        name, password = _credentials(authorization)
        digest = hashlib.blake2b(f"{name}\0{password}".encode(), key=self._key).digest()
        if digest in self._right:
            return
        # An unknown name takes as long as a wrong password.
        hashed = users.get(name) or next(iter(users.values()))
        right = await run_detached(bcrypt.checkpw, password.encode()[:72], hashed.encode())
        if not right or name not in users:
            if authorization:
                self._attempts.wrong(peer)
            raise WebError(HTTPStatus.UNAUTHORIZED, "name or password is wrong")
        if len(self._right) >= _MOST_REMEMBERED:
            self._right.clear()
        self._right[digest] = None


def _credentials(authorization: str) -> tuple[str, str]:
    """Name and password of a header; empty ones if it has none."""
    kind, _, text = authorization.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"]) or "the file"
    return printable(f"{place}: {found['msg'].removeprefix('Value error, ')}"[:200])
