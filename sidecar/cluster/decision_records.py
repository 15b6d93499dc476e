"""Decisions as the records of a batch, in the time that all hosts share.

`["b", network, jail, stamp, until, at, origin, reason, failures, by]` a ban, `["u", network, jail, stamp,
by]` it was lifted, `["a", network, stamp, until, reason, by]` a network is allowed, `["d", network, stamp,
by]` no longer, `["s", domain, stamp, until, since, reason, by]` a sender domain is refused, `["t", domain,
stamp, by]` no longer, `["g", network, account, at]` a login, `["h", last, version]` a host is here. The first
record of a batch, `["p", last]`, names the batch before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from sidecar.cluster.claims import Key
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.model import LATEST, Instant, printable
from sidecar.network import Network

Record: TypeAlias = list[Any]
BAN, ALLOW, DOMAIN, GOOD, HERE, BEFORE = "b", "a", "s", "g", "h", "p"
# What ends each kind of claim.
LIFTS = {BAN: "u", ALLOW: "d", DOMAIN: "t"}
_LONGEST_TEXT = 500
ORIGINS = ("log", "manual", "import")


class SharedBan(NamedTuple):
    """A ban of another host."""

    network: Network
    jail: str
    stamp: Stamp
    until: Instant | None
    at: Instant
    origin: str
    reason: str
    failures: int
    by: str

    @property
    def key(self) -> Key:
        """Its subject."""
        return ban_key(self.network, self.jail)

    def record(self) -> Record:
        """As it travels."""
        return [BAN, _written(self.network), self.jail, self.stamp.entry, self.until, self.at, self.origin,
                self.reason[:_LONGEST_TEXT], self.failures, self.by[:_LONGEST_TEXT]]  # fmt: skip

    @classmethod
    def read(cls, record: Record, host: str) -> SharedBan:
        """ValueError for anything that no host writes."""
        _, network, jail, entry, until, at, origin, reason, failures, by = record
        if origin not in ORIGINS or not isinstance(failures, int) or not _is_name(jail):
            raise ValueError(f"{origin!r}, {failures!r} or {jail!r}")
        stamp = Stamp.of_entry(_text(entry), host)
        return cls(
            Network.parse(_text(network)), jail, stamp, _end(until), _time(at), origin, _text(reason),
            max(0, min(failures, 1 << 31)), _text(by),
        )  # fmt: skip


class SharedAllowed(NamedTuple):
    """A network that another host allows."""

    network: Network
    stamp: Stamp
    until: Instant | None
    reason: str
    by: str

    @property
    def key(self) -> Key:
        """Its subject."""
        return allowed_key(self.network)

    def record(self) -> Record:
        """As it travels."""
        text = self.reason[:_LONGEST_TEXT], self.by[:_LONGEST_TEXT]
        return [ALLOW, _written(self.network), self.stamp.entry, self.until, *text]

    @classmethod
    def read(cls, record: Record, host: str) -> SharedAllowed:
        """ValueError for anything that no host writes."""
        _, network, entry, until, reason, by = record
        stamp = Stamp.of_entry(_text(entry), host)
        return cls(Network.parse(_text(network)), stamp, _end(until), _text(reason), _text(by))


class SharedDomain(NamedTuple):
    """A sender domain that another host refuses."""

    domain: str
    stamp: Stamp
    until: Instant | None
    since: Instant
    reason: str
    by: str

    @property
    def key(self) -> Key:
        """Its subject."""
        return domain_key(self.domain)

    def record(self) -> Record:
        """As it travels."""
        text = self.reason[:_LONGEST_TEXT], self.by[:_LONGEST_TEXT]
        return [DOMAIN, self.domain, self.stamp.entry, self.until, self.since, *text]

    @classmethod
    def read(cls, record: Record, host: str) -> SharedDomain:
        """ValueError for anything that no host writes."""
        _, domain, entry, until, since, reason, by = record
        stamp = Stamp.of_entry(_text(entry), host)
        return cls(_domain(domain), stamp, _end(until), _time(since), _text(reason), _text(by))


class SharedLifting(NamedTuple):
    """The end of a ban, an allowed network or a refused domain, decided by another host."""

    key: Key
    stamp: Stamp
    by: str

    @property
    def network(self) -> Network:
        """Whose, unless it is a domain."""
        found: Network = self.key[1]
        return found

    def record(self) -> Record:
        """As it travels."""
        kind, subject, *jail = self.key
        return [LIFTS[kind], str(subject), *jail, self.stamp.entry, self.by[:_LONGEST_TEXT]]

    @classmethod
    def read(cls, record: Record, host: str) -> SharedLifting:
        """ValueError for anything that no host writes."""
        lift, subject, *jail, entry, by = record
        (kind,) = (kind for kind, ends in LIFTS.items() if ends == lift)
        if len(jail) != (kind == BAN) or not all(map(_is_name, jail)):
            raise ValueError(f"{jail!r}")
        about = _domain(subject) if kind == DOMAIN else Network.parse(_text(subject))
        return cls((kind, about, *jail), Stamp.of_entry(_text(entry), host), _text(by))


class SharedLogin(NamedTuple):
    """A login seen by another host; `account` "" marks a mail server."""

    network: Network
    account: str
    at: Instant

    def record(self) -> Record:
        """As it travels."""
        return [GOOD, _written(self.network), self.account, self.at]

    @classmethod
    def read(cls, record: Record, _host: str) -> SharedLogin:
        """ValueError for anything that no host writes."""
        _, network, account, at = record
        return cls(Network.parse(_text(network)), _text(account), _time(at))


Shared: TypeAlias = SharedBan | SharedAllowed | SharedDomain | SharedLifting | SharedLogin
_KINDS: dict[str, type[SharedBan | SharedAllowed | SharedDomain | SharedLifting | SharedLogin]] = {
    BAN: SharedBan, ALLOW: SharedAllowed, DOMAIN: SharedDomain, GOOD: SharedLogin,
    **dict.fromkeys(LIFTS.values(), SharedLifting),
}  # fmt: skip


def ban_key(network: Network, jail: str) -> Key:
    """The subject of a ban."""
    return BAN, network, jail


def allowed_key(network: Network) -> Key:
    """The subject of an allowed network."""
    return ALLOW, network


def domain_key(domain: str) -> Key:
    """The subject of a refused sender domain."""
    return DOMAIN, domain


def read(record: Any, host: str) -> Shared | None:
    """A record of a host; None for a kind of a later version. ValueError if it is damaged."""
    if not isinstance(record, list) or not record or not isinstance(record[0], str):
        raise ValueError("no record")
    kind = _KINDS.get(record[0])
    return kind.read(record, host) if kind else None


def sign_of_life(found: Sequence[Any]) -> tuple[Stamp | None, str] | None:
    """The last batch and the version that a host tells of itself; None if the records are decisions."""
    try:
        ((kind, last, version),) = found
        if kind == HERE:
            return (Stamp.of_entry(last) if last else None), _text(version)
    except (ValueError, TypeError, AttributeError):
        pass
    return None


def batch_before(found: Sequence[Any]) -> str | None:
    """The id of the batch before one with these records, "" if it is the first; None if it does not say."""
    match found:
        case [[str(kind), str(last)], *_] if kind == BEFORE:
            return last
    return None


def _written(network: Network) -> str:
    """Most are addresses, which are read several times faster without a length."""
    return network.address if network.single else str(network)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 2 * _LONGEST_TEXT:
        raise ValueError(f"{str(value)[:40]!r} is no text")
    # Half a surrogate pair cannot be stored, and what steers a terminal is not shown.
    return printable(value)


def _domain(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 253 or not value.isascii() or not _is_name(value):
        raise ValueError(f"{str(value)[:40]!r} is no domain")
    return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _time(value: Any) -> Instant:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise ValueError(f"{str(value)[:40]!r} is no time")
    return float(value)


def _end(value: Any) -> Instant | None:
    return None if value is None else _time(value)
