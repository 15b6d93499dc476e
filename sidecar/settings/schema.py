"""The keys of zmban.toml, typed and frozen."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from sidecar.model import LONGEST
from sidecar.network import Network
from sidecar.settings.notify_urls import SmtpServer, WebhookUrl


def _network(value: object) -> Network:
    if isinstance(value, Network):
        return value
    return Network.parse(str(value))


def listed(value: object) -> object:
    """Split a comma-separated text into a list; any other value is returned unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _address(value: object) -> object:
    """Check `host:port` or `[v6]:port`; an empty text means no address."""
    text = str(value or "")
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return text


def _table(value: object) -> int | Literal["main"]:
    """A routing table number that is not one of the kernel's, or main by name or number."""
    if value in ("main", _MAIN, str(_MAIN)):
        return "main"
    number = int(str(value)) if str(value).isdecimal() and not isinstance(value, bool) else -1
    if number in _RESERVED or not 0 < number < 1 << 32:
        taken = (
            f"is the kernel's own table {_RESERVED[number]}"
            if number in _RESERVED
            else "is not a routing table"
        )
        raise ValueError(f"{value!r} {taken}; write an unused number such as 2520, or main")
    return number


def _mailbox(value: object) -> str:
    """A mail address without a name; it can add neither a header nor a recipient."""
    if isinstance(value, str) and len(value) < 320 and _MAILBOX.fullmatch(value):
        return value
    raise ValueError(f"{str(value)[:60]!r} is not an address; write USER@DOMAIN")


def _mailbox_or_empty(value: object) -> str:
    return "" if value == "" else _mailbox(value)


def _time_of_day(value: object) -> object:
    """Check `HH:MM`; an empty text means never."""
    if value == "" or (isinstance(value, str) and _TIME.fullmatch(value)):
        return value
    raise ValueError(f'{str(value)[:20]!r} is not a time of day; write "06:00"')


def _smtp(value: object) -> SmtpServer:
    return SmtpServer.parse(value or "smtp://127.0.0.1:25")


def _redis_url(value: object) -> str:
    """The URL of Redis, whose password is elsewhere; sidecar.cluster reads the rest of it."""
    text = str(value or "")
    scheme, colon, rest = text.partition("://")
    if not text or (colon and scheme in REDIS_SCHEMES and rest and not set(rest) & set("@?# ")):
        return text
    cure = f"write {', '.join(f'{one}://' for one in REDIS_SCHEMES)} and hosts; no user, password or option"
    raise ValueError(f"{text.rpartition('@')[2][:60]!r} is not a URL of Redis; {cure}")


def _host_name(value: object) -> str:
    if isinstance(value, str) and (not value or _NAME.fullmatch(value)):
        return value
    raise ValueError(
        f"{str(value)[:60]!r} is not a name; write letters, digits, dots and hyphens, at most 64"
    )


def _trusted(value: object) -> str:
    name, _, key = str(value).partition("=")
    if _NAME.fullmatch(name.strip()) and key.strip().startswith("ed25519:"):
        return f"{name.strip()}={key.strip()}"
    raise ValueError(f"{str(value)[:30]!r} is not HOST=ed25519:KEY, as zmban cluster keys prints it")


def _domain(value: object) -> str:
    """A domain name with a dot, in any spelling; sidecar.domains reads it."""
    if isinstance(value, str) and _DOMAIN.fullmatch(value.strip()):
        return value.strip()
    raise ValueError(f"{str(value)[:60]!r} is not a domain; write example.com")


_DOMAIN = re.compile(r"[^\s@/.*]+(?:\.[^\s@/.*]+)+\.?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
REDIS_SCHEMES = (
    "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_MAILBOX = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
# The names of sidecar.kernel.registry.BACKENDS, which this room cannot import.
Backend = Literal["route", "dry-run"]
# Numbers of the kernel's own tables.
_MAIN, _RESERVED = 254, {0: "unspec", 253: "default", 255: "local"}
Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(_network)], ...],
    BeforeValidator(listed),
]
Ports = Annotated[tuple[Annotated[int, Field(gt=0, lt=65536)], ...], BeforeValidator(listed)]
Address = Annotated[str, BeforeValidator(_address)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]

Domains = Annotated[tuple[Annotated[str, PlainValidator(_domain)], ...], BeforeValidator(listed)]
Webhooks = Annotated[
    tuple[Annotated[WebhookUrl, PlainValidator(WebhookUrl.parse)], ...], BeforeValidator(listed)
]
Mailboxes = Annotated[tuple[Annotated[str, PlainValidator(_mailbox)], ...], BeforeValidator(listed)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TrustSettings(_Section):
    """[trust]: trusted proxies, and networks that are never banned."""

    proxies: Networks = ()
    own: Networks = ()
    gateways: Networks = ()
    nodes: Networks = ()
    admins: Networks = ()
    networks: Networks = ()
    ssh_ports: Ports = (22,)
    ask_zimbra: bool = True


class KernelSettings(_Section):
    """[kernel]: what refuses banned networks, by the name of a `backend` (sidecar.kernel.registry).
    `preference` is that of zmban's rule, before main (32766). `namespace` is the network namespace to
    protect: the host's, or zmban's own."""

    backend: Backend = "route"
    table: Annotated[int | Literal["main"], PlainValidator(_table)] = 2520
    namespace: Literal["host", "own"] = "host"
    preference: int = 252
    on_stop: Literal["keep", "flush"] = "keep"
    ingress: Literal["auto", "on", "off"] = "auto"
    widest_ipv4: Annotated[int, Field(ge=0, le=32)] = 16
    widest_ipv6: Annotated[int, Field(ge=0, le=128)] = 32


class GoodSettings(_Section):
    """[good]: addresses with a successful login. They are known-good for `days`, `patience` multiplies the
    maxretry of jails that count logins, and their first ban lasts `first_ban` seconds."""

    days: Annotated[int, Field(ge=0, le=3650)] = 30
    patience: Annotated[int, Field(ge=1, le=1000)] = 5
    first_ban: Annotated[int, Field(gt=0, le=int(LONGEST))] = 3600


class StoreSettings(_Section):
    """[store]: how long ended bans stay in the history, and how many of them at most."""

    history_days: Annotated[int, Field(ge=1, le=36500)] = 1095
    history_rows: Annotated[int, Field(ge=1000, le=100_000_000)] = 100_000


class ServeSettings(_Section):
    """[serve]: where metrics and health are served; `metrics` is an additional address for scraping only,
    `web_config` the file with its TLS certificate and passwords, as Prometheus' exporters have it.
    `names` are the accepted host names, besides addresses, localhost and the host's own name."""

    listen: Address = "127.0.0.1:9177"
    metrics: Address = ""
    web_config: str = ""
    names: Names = ()


# What a message can be about.
NotifyEvent = Literal["wide-ban", "known-good-ban", "brake", "not-enforced", "masked", "digest", "report"]


class NotifySettings(_Section):
    """[notify]: which events are told, by which webhooks, and to whom by mail. `webhooks_file` has further
    webhooks, one per line. `ca_file` has certificates to trust besides those of the system."""

    events: Annotated[tuple[NotifyEvent, ...], BeforeValidator(listed)] = (
        "wide-ban",
        "known-good-ban",
        "brake",
        "not-enforced",
        "masked",
        "report",
    )
    webhooks: Webhooks = ()
    webhooks_file: str = ""
    mail_to: Mailboxes = ()
    mail_from: Annotated[str, PlainValidator(_mailbox_or_empty)] = ""
    smtp: Annotated[SmtpServer, PlainValidator(_smtp)] = _smtp("")
    smtp_user: str = ""
    smtp_password_file: str = ""
    ca_file: str = ""


class ReportSettings(_Section):
    """[report]: when the report of the day before is built and told ("HH:MM" in the zone of the host, "":
    never), and the directory that keeps reports ("": `reports` in the state directory)."""

    at: Annotated[str, BeforeValidator(_time_of_day)] = "06:00"
    directory: str = ""


class DomainSettings(_Section):
    """[domains]: refused sender domains. `directory` holds the maps for Postfix ("": none). `protect` are the
    administrator's own domains; `nested` is what Postfix does with a display name that is an address of
    another domain."""

    directory: str = ""
    protect: Domains = ()
    nested: Literal["warn", "reject", "off"] = "warn"


# What hosts can share.
Shared = Literal["counts", "bans", "good", "allowed", "domains"]


class ClusterSettings(_Section):
    """[cluster]: other hosts, over Redis or Valkey. `url` is where it is ("": no cluster), `user` its ACL
    user, `host` the name of this host ("": its host name), `group` whom it shares with. Hosts know each other
    by `key_file` and `trust` (HOST=ed25519:KEY), or all have `shared_key_file`. A peer may make
    `bans_per_minute`, and `most_bans` with `most_addresses` in all."""

    url: Annotated[str, PlainValidator(_redis_url)] = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    cert_key_file: str = ""
    host: Annotated[str, PlainValidator(_host_name)] = ""
    group: Annotated[str, PlainValidator(_host_name)] = "zmban"
    key_file: str = ""
    shared_key_file: str = ""
    trust: Annotated[tuple[Annotated[str, PlainValidator(_trusted)], ...], BeforeValidator(listed)] = ()
    share: Annotated[tuple[Shared, ...], BeforeValidator(listed)] = get_args(Shared)
    bans_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] = 6000
    most_bans: Annotated[int, Field(ge=1, le=100_000_000)] = 500_000
    most_addresses: Annotated[int, Field(ge=1)] = 1 << 22


# Keys whose values no message may show.
SECRET = {("notify", "webhooks")}


# The keys of a section that no file names: validated as part of Settings, which builds each model once.
_DEFAULTS: Any = Field({}, validate_default=True)


class Settings(_Section):
    """All sections of zmban.toml."""

    trust: TrustSettings = _DEFAULTS
    kernel: KernelSettings = _DEFAULTS
    good: GoodSettings = _DEFAULTS
    store: StoreSettings = _DEFAULTS
    serve: ServeSettings = _DEFAULTS
    notify: NotifySettings = _DEFAULTS
    report: ReportSettings = _DEFAULTS
    domains: DomainSettings = _DEFAULTS
    cluster: ClusterSettings = _DEFAULTS


def keys_of(section: str) -> list[str]:
    """The known keys of a section."""
    kind = Settings.model_fields[section].annotation
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
