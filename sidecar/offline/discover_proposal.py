"""The configuration for the Zimbra containers that were found, as lines and as files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sidecar.model import ConfigError
from sidecar.network import Network
from sidecar.sources.docker import roles
from sidecar.sources.docker.docker_engine import TRUSTED_IP, ZimbraContainer
from sidecar.sources.docker.layouts import LOGS, Verdict

_LOOPBACK = (Network.parse("127.0.0.1"), Network.parse("::1"))
LOG, SYSLOG = "log", "syslog"
# Where compose.yaml mounts the first directory of each kind, and the variable that names it.
_FIRST = {LOG: "/opt/zimbra/log", SYSLOG: "/var/log"}
_VARIABLES = {LOG: "ZIMBRA_LOG_DIR", SYSLOG: "ZIMBRA_SYSLOG_DIR"}
# Mount point of the other directories: the first one is mounted read-only, so nothing can be mounted below
# it.
_MORE = "/srv/zimbra"
# The variables of the shipped jails for the logs in Zimbra's directory.
_LOGS = {
    "zimbra_mailbox_log": "mailbox.log",
    "zimbra_audit_log": "audit.log",
    "zimbra_nginx_log": "nginx.log",
    "zimbra_access_log": "nginx.access.log",
}
# Characters that .env, YAML and Compose take literally in single quotes.
_PLAIN = re.compile(r"[\w@%+=:,./ ~-]+")


@dataclass(frozen=True)
class DiscoveredHost:
    """A Zimbra container, and the zimbraMailTrustedIP of its server; None if unknown."""

    container: ZimbraContainer
    trusted: tuple[Network, ...] | None = None


class Directory(NamedTuple):
    """A directory of logs: its kind, its container, its path on this host, its mount point in zmban's
    container, and the logs in it that the shipped jails read, as (variable, file name)."""

    kind: str
    owner: str
    host: str
    target: str
    files: tuple[tuple[str, str], ...]


class Hint(NamedTuple):
    """A problem to look at, and the lines that fix it."""

    reason: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """The whole proposal. `missing`: kinds of directories, each with a sentence about one that cannot be
    reached."""

    directories: tuple[Directory, ...]
    missing: tuple[tuple[str, str], ...]
    proxies: tuple[Network, ...]
    gateways: tuple[Network, ...]
    networks: tuple[Network, ...]
    hints: tuple[Hint, ...]


def propose(found: Sequence[DiscoveredHost]) -> Proposal:
    """The proposal for these containers, in an order that does not depend on Docker."""
    found = sorted(found, key=lambda one: one.container.name)
    containers = [one.container for one in found]
    directories, missing = _directories(containers)
    proxies = (n for one in found for n in (*one.container.addresses, *(one.trusted or ())))
    return Proposal(
        tuple(directories),
        tuple(missing),
        # Zimbra's proxy connects to mailboxd from the container's own address, so this is a trusted proxy.
        _unique(n for n in proxies if n not in _LOOPBACK),
        _unique(n for one in containers for n in one.gateways),
        _unique(n for one in containers for n in one.networks),
        (*_hints(found), *_domain_hints(containers)),
    )


def _unique(networks: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(dict.fromkeys(networks))


def _directories(containers: Sequence[ZimbraContainer]) -> tuple[list[Directory], list[tuple[str, str]]]:
    directories: list[Directory] = []
    missing: list[tuple[str, str]] = []
    for one in containers:
        # The role only matters if there are several containers.
        role = one.verdict.role if len(containers) > 1 else roles.ALL
        for kind, (inside, host) in zip(_FIRST, one.logs.items(), strict=True):
            files = tuple(_files(kind, role, one.verdict))
            if not files or any((kind, host) == (d.kind, d.host) for d in directories):
                continue
            if host is None:
                missing.append((kind, f"{inside} of {one.name} is in no volume; add one to the container"))
            elif not _PLAIN.fullmatch(host):
                text = f"{host!r}, {inside} of {one.name}, cannot be written into .env; mount it by hand"
                missing.append((kind, text))
            else:
                known = any(d.kind == kind for d in directories)
                target = f"{_MORE}/{one.name}/{kind}" if known else _FIRST[kind]
                directories.append(Directory(kind, one.name, host, target, files))
    return directories, missing


def _files(kind: str, role: str, verdict: Verdict) -> Iterator[tuple[str, str]]:
    """The logs of such a directory that the shipped jails read, as (variable, file name), also if they do not
    exist yet."""
    if kind == SYSLOG:
        yield from [("zimbra_log", verdict.log)] if roles.does(role, roles.MTA) else []
    else:
        known = ((name, file) for name, file in _LOGS.items() if roles.does(role, LOGS[file]))
        yield from dict.fromkeys([*known, *((n, file) for n, file in _LOGS.items() if file in verdict.logs)])


def _hints(found: Sequence[DiscoveredHost]) -> Iterator[Hint]:
    fronts = [c for c in (one.container for one in found) if roles.PROXY in c.verdict.role.split("+")]
    for container, trusted in ((one.container, one.trusted) for one in found):
        if trusted is None or not roles.does(container.verdict.role, roles.MAILBOX):
            continue
        speaking = _unique(n for one in (container, *fronts) for n in one.addresses)
        unknown = [n.address for n in speaking if n not in trusted]
        if unknown:
            yield Hint(
                f"mailboxd of {container.name} does not trust its own proxy, so it logs no client. "
                f"As {container.verdict.user} in it:",
                (*(f"zmprov mcf +{TRUSTED_IP} {address}" for address in unknown), "zmmailboxdctl restart"),
            )


def _domain_hints(containers: Iterable[ZimbraContainer]) -> Iterator[Hint]:
    """How the Postfix of each container gets at the maps of refused sender domains."""
    for one in containers:
        if one.id and roles.does(one.verdict.role, roles.MTA):
            conf = f"{one.verdict.home}/conf"
            maps = f"{conf}/zmban"
            headers = f"pcre:{conf}/postfix_header_checks pcre:{maps}/header_checks.pcre lmdb:{maps}/changed"
            # The last line becomes the first.
            senders = (f"lmdb:{maps}/changed", f"pcre:{maps}/sender_access.pcre")
            file = f"{conf}/zmconfigd/smtpd_sender_restrictions.cf"
            yield Hint(
                f"For zmban domain (docs/domains.md), mount the volume zmban_zmban-domains in {one.name} at "
                f"{maps}, read-only; run zmban domain refresh; then, as {one.verdict.user} in it:",
                (
                    f"zmprov mcf zimbraMtaHeaderChecks '{headers}'",
                    f"postconf -e nested_header_checks=pcre:{conf}/postfix_header_checks",
                    *(f"sed -i '1i check_sender_access {table}' {file}" for table in senders),
                ),
            )


def environment(proposal: Proposal) -> list[str]:
    """The lines for .env."""
    lines = []
    for kind, variable in _VARIABLES.items():
        first = next((d for d in proposal.directories if d.kind == kind), None)
        missing = [f"# {sentence}" for of, sentence in proposal.missing if of == kind]
        if first is None and not missing and proposal.directories:
            lines.append("# No container writes such logs; Compose requires a directory nevertheless.")
            first = proposal.directories[0]
        lines += [*([f"{variable}={_quoted(first.host)}"] if first else []), *missing]
    return lines


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path


def trust(proposal: Proposal) -> list[str]:
    """The lines for zmban.toml."""
    lists = {name: getattr(proposal, name) for name in ("proxies", "gateways", "networks")}
    return ["[trust]", *(f"{name} = [{_texts(networks)}]" for name, networks in lists.items())]


def _texts(networks: Iterable[Network]) -> str:
    return ", ".join(json.dumps(n.address if n.single else str(n)) for n in networks)


def logpaths(proposal: Proposal) -> list[str]:
    """The lines for a jail file: the paths of the logs for the shipped jails."""
    paths: dict[str, list[str]] = {}
    for directory in proposal.directories:
        for variable, file in directory.files:
            paths.setdefault(variable, []).append(f"{directory.target}/{file}")
    lines = ["[DEFAULT]"]
    for variable, names in paths.items():
        first, *rest = names
        lines += [f"{variable} = {first}", *(f"    {name}" for name in rest)]
    return lines


def override(proposal: Proposal) -> list[str]:
    """The lines for compose.override.yaml: bind-mounted volumes like those of compose.yaml."""
    mounts, volumes = [], []
    for directory in proposal.directories:
        name = f"zimbra-{directory.kind}"
        if directory.target != _FIRST[directory.kind]:
            name += f"-{directory.owner}"
            options = {"type": "none", "o": "bind,ro", "device": directory.host}
            volumes.append(f"  {json.dumps(name)}: {json.dumps({'driver_opts': options})}")
        mount = {"type": "volume", "source": name, "target": directory.target}
        mounts.append(f"      - {json.dumps({**mount, 'read_only': True, 'volume': {'nocopy': True}})}")
    lines = ["services:", "  zmban:", "    volumes:", *mounts] if mounts else ["services: {}"]
    return [*lines, *(["volumes:", *volumes] if volumes else [])]


def files(proposal: Proposal) -> dict[str, str]:
    """The files that `discover --write` writes, by their path below the directory."""
    return {
        ".env": _text(
            "Read by compose.yaml; for all variables see .env.example.",
            ["COMPOSE_PROJECT_NAME=zmban", *environment(proposal)],
        ),
        "compose.override.yaml": _text(
            "Read with compose.yaml: all directories of logs, read-only.", override(proposal)
        ),
        "zmban.toml": _text(
            "Zimbra's containers: trusted proxies, gateways, protected networks.", trust(proposal)
        ),
        "jail.d/discovered.local": _text(
            "Paths of the logs for the shipped jails; files later in alphabetical order override this one.",
            logpaths(proposal),
        ),
    }


def _text(about: str, lines: Sequence[str]) -> str:
    return "\n".join(["# Written by zmban discover.", f"# {about}", *lines, ""])


def write(directory: Path, files: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write the files, each atomically. ConfigError if a file cannot be written, or if one exists and `force`
    is not set; then none is written."""
    paths = {directory / name: text for name, text in files.items()}
    there = ", ".join(str(path) for path in paths if os.path.lexists(path))
    if there and not force:
        raise ConfigError(f"{there}: already exists, so nothing was written; --force overwrites")
    for path, text in paths.items():
        new = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
    return list(paths)
