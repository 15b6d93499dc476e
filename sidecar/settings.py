"""zmban.toml and the environment, typed and frozen: what Fail2Ban's files have no word for.

Every key is also an environment variable ZMBAN_SECTION_KEY (lists separated by commas), which wins.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sidecar.model import LONGEST, ConfigError
from sidecar.network import Network


def _network(value: object) -> Network:
    if isinstance(value, Network):
        return value
    return Network.parse(str(value))


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _address(value: object) -> object:
    """`host:port`, `[v6]:port`; an empty text is none."""
    text = str(value or "")
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is no HOST:PORT")
    return text


Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(_network)], ...],
    BeforeValidator(_listed),
]
Ports = Annotated[tuple[Annotated[int, Field(gt=0, lt=65536)], ...], BeforeValidator(_listed)]
Address = Annotated[str, BeforeValidator(_address)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrustSettings(_Section):
    """Whose word is believed, and who is never banned."""

    proxies: Networks = ()
    own: Networks = ()
    gateways: Networks = ()
    nodes: Networks = ()
    admins: Networks = ()
    networks: Networks = ()
    ssh_ports: Ports = (22,)
    ask_zimbra: bool = True


class KernelSettings(_Section):
    """The routing table that refuses. `preference` is the place of our rule: before main (32766). `namespace`
    is the network that the bans are meant for: the host's, or the one that zmban itself is in."""

    table: int | Literal["main"] = 2520
    namespace: Literal["host", "own"] = "host"
    preference: int = 252
    on_stop: Literal["keep", "flush"] = "keep"
    ingress: Literal["auto", "on", "off"] = "auto"
    widest_ipv4: Annotated[int, Field(ge=0, le=32)] = 16
    widest_ipv6: Annotated[int, Field(ge=0, le=128)] = 32


class GoodSettings(_Section):
    """What an address is worth that somebody logged in from: for how many `days`, by how many times the
    maxretry of a jail that counts logins, and how many seconds its first ban lasts."""

    days: Annotated[int, Field(ge=0, le=3650)] = 30
    patience: Annotated[int, Field(ge=1, le=1000)] = 5
    first_ban: Annotated[int, Field(gt=0, le=int(LONGEST))] = 3600


class ServeSettings(_Section):
    """Where metrics and health are answered; `metrics` is one more address for scraping only. `names` are the
    host names under which they may be asked for, beside addresses, localhost and the host's own name."""

    listen: Address = "127.0.0.1:9177"
    metrics: Address = ""
    names: Names = ()


class Settings(_Section):
    """All of it."""

    trust: TrustSettings = TrustSettings()
    kernel: KernelSettings = KernelSettings()
    good: GoodSettings = GoodSettings()
    serve: ServeSettings = ServeSettings()


def _variable(*names: str) -> str:
    return "_".join(("ZMBAN", *filter(None, names))).upper()


def _environment() -> dict[str, dict[str, str]]:
    """What the variables of the environment say, by section and key."""
    found: dict[str, dict[str, str]] = {}
    for name, text in os.environ.items():
        zmban, _, rest = name.lower().partition("_")
        section, _, key = rest.partition("_")
        # One that is misspelt is found out with all other keys that are not known.
        if zmban == "zmban" and section in Settings.model_fields:
            found.setdefault(section, {})[key] = text
    return found


def load(directories: list[Path]) -> Settings:
    """Read `zmban.toml` of each directory, a later one over an earlier one, then the environment.

    Raises ConfigError naming the file or variable, the key and what is wrong with it.
    """
    merged: dict[str, Any] = {}
    places: dict[tuple[str, ...], str] = {}
    for directory in directories:
        path = directory / "zmban.toml"
        if not path.is_file():
            continue
        try:
            parsed = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
        for section, keys in parsed.items():
            if not isinstance(keys, dict):
                raise ConfigError(f"{path}: {section} stands outside a [section]")
            merged.setdefault(section, {}).update(keys)
            places |= {(section, key): str(path) for key in keys}
            places[section,] = str(path)
    for section, variables in _environment().items():
        merged.setdefault(section, {}).update(variables)
    try:
        return Settings(**merged)
    except ValidationError as error:
        known = Settings.model_fields
        sentences = dict.fromkeys(_sentence(e, places, known) for e in error.errors())
        raise ConfigError("; ".join(sentences)) from error


def _sentence(error: ErrorDetails, places: dict[tuple[str, ...], str], known: Mapping[str, FieldInfo]) -> str:
    names = tuple(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        section = known.get(names[0])
        keys = section.annotation.model_fields if len(names) > 1 and section and section.annotation else known
        message = f"is not known; there are: {', '.join(keys)}"
    place = places.get(names[:2]) or places.get(names[:1])
    variable = _variable(*names[:2])
    if place is None or variable in os.environ:
        place = f"variable {variable}"
    return f"{place}: [{names[0]}] {names[1] if len(names) > 1 else ''}: {message}"
