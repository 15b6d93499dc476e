"""The keys of zmban.toml, typed and frozen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from sidecar.model import LONGEST
from sidecar.network import Network


def _network(value: object) -> Network:
    if isinstance(value, Network):
        return value
    return Network.parse(str(value))


def listed(value: object) -> object:
    """The entries of a list that is one text, separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _address(value: object) -> object:
    """`host:port`, `[v6]:port`; an empty text is none."""
    text = str(value or "")
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is no HOST:PORT")
    return text


def _table(value: object) -> int | Literal["main"]:
    """A routing table of our own by its number, or main by name or number."""
    if value in ("main", _MAIN, str(_MAIN)):
        return "main"
    number = int(str(value)) if str(value).isdecimal() and not isinstance(value, bool) else -1
    if number in _RESERVED or not 0 < number < 1 << 32:
        taken = (
            f"is the kernel's own table {_RESERVED[number]}" if number in _RESERVED else "is no routing table"
        )
        raise ValueError(f"{value!r} {taken}; write a number of your own such as 2520, or main")
    return number


# As the kernel numbers them.
_MAIN, _RESERVED = 254, {0: "unspec", 253: "default", 255: "local"}
Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(_network)], ...],
    BeforeValidator(listed),
]
Ports = Annotated[tuple[Annotated[int, Field(gt=0, lt=65536)], ...], BeforeValidator(listed)]
Address = Annotated[str, BeforeValidator(_address)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]


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

    table: Annotated[int | Literal["main"], PlainValidator(_table)] = 2520
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


def keys_of(section: str) -> list[str]:
    """The keys that a section may have."""
    kind = Settings.model_fields[section].annotation
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
