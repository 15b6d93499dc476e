"""Writes a filter, a jail that bans nobody yet, and samples for a proposed failregex."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from sidecar.configuration import loading
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import ConfigError, StoreError, counted, printable
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.reading.log_forms import FORMS
from sidecar.whole_file import whole_file

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_LONGEST_NAME = 60
# Sections of Fail2Ban's files that are no jails.
_RESERVED = ("default", "includes", "definition", "init")
_LONGEST_COMMENT = 200
# The option of the shipped jails that names a log, by the beginning of its file name; else its usual path.
_LOGPATHS = {
    "zimbra.log": "%(zimbra_log)s",
    "carbonio.log": "%(zimbra_log)s",
    "maillog": "%(zimbra_log)s",
    "mailbox.log": "%(zimbra_mailbox_log)s",
    "audit.log": "%(zimbra_audit_log)s",
    "sync.log": "/opt/zimbra/log/sync.log",
    "nginx.log": "%(zimbra_nginx_log)s",
    "nginx.access.log": "%(zimbra_access_log)s",
    "access_log": "/opt/zimbra/log/access_log*",
}
# Who must not be banned by one of these lines alone.
_SPARED = {
    "zimbra": "zmban.spare_peers = true\n",
    "nginx-access": "zmban.spare_good = true\n",
    "access": "zmban.spare_good = true\n",
}


def files(pattern: MinedPattern, name: str) -> dict[str, str]:
    """The text of each file to write for a pattern, by its path below a configuration directory. The jail is
    a dry run. ConfigError if the pattern has no failregex, or the name is no name for a filter."""
    if not pattern.failregex:
        why = pattern.why_not or "it has none"
        raise ConfigError(f"pattern {pattern.id} has no failregex to adopt: {why}")
    if not pattern.failregex.isprintable() or " ;" in pattern.failregex or " #" in pattern.failregex:
        raise ConfigError(
            f"the failregex of pattern {pattern.id} contains what ends a value; write \\x3b for ;"
        )
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError(
            f"{printable(name)[:80]!r} is no name for a filter; "
            f"write lower-case letters, digits and single hyphens, at most {_LONGEST_NAME}"
        )
    return {
        f"samples/{name}.jsonl": _samples(pattern),
        f"filter.d/{name}.conf": _filter(pattern),
        # Last: a jail without its filter would be a fault.
        f"jail.d/{name}.conf": _jail(pattern, name),
    }


def write(pattern: MinedPattern, name: str, directory: Path) -> list[Path]:
    """Write the files of a pattern into a configuration directory; returns their paths. A file that is there
    with the same text stays. ConfigError if another file or a shipped filter has the name, StoreError if a
    file cannot be written; then none is."""
    texts = files(pattern, name)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such configuration directory; create it first")
    if name in _shipped():
        raise ConfigError(f"{name} is the name of a shipped filter or jail; choose another one")
    places = {directory / path: text for path, text in texts.items()}
    new = [path for path, text in places.items() if not _is_there(path, text)]
    written: list[Path] = []
    try:
        for path in new:
            path.parent.mkdir(exist_ok=True)
            _write(path, places[path])
            written.append(path)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise _other(path) from error
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return list(places)


def _filter(pattern: MinedPattern) -> str:
    form = FORMS[pattern.kind]
    lines = counted(pattern.count, "line")
    parts = [
        f"# {printable(pattern.template)[:_LONGEST_COMMENT]}",
        "#",
        f"# Proposed by zmban for {lines} of {printable(pattern.log)[:80]} by "
        f"{counted(pattern.clients, 'client')} (pattern {pattern.id}).",
        "",
        "[Definition]",
        "",
    ]
    if form.grammar:
        parts += [f"zmban.grammar = {form.grammar}", ""]
    parts += [f"failregex = {_value(pattern.failregex)}", "", "ignoreregex ="]
    if form.datepattern:
        parts += ["", *(f"datepattern = {_value(text)}" for text in form.datepattern)]
    return "\n".join(parts) + "\n"


def _value(text: str) -> str:
    """A regex as the value of an option. A proposed one has neither line breaks nor comments."""
    return text.replace("%", "%%")


def _jail(pattern: MinedPattern, name: str) -> str:
    log = next((path for log, path in _LOGPATHS.items() if pattern.log.startswith(log)), "")
    if not log:
        raise ConfigError(f"no path is known for the log {printable(pattern.log)[:80]}; write a jail by hand")
    return (
        "# A dry run bans nobody: see what it would ban in the log of zmban, then remove zmban.dry_run.\n\n"
        f"[{name}]\n"
        "enabled  = true\n"
        f"filter   = {name}\n"
        f"logpath  = {log}\n"
        "port     = all\n"
        "maxretry = 3\n"
        "findtime = 86400\n"
        "bantime  = 86400\n"
        "usedns   = no\n"
        "action   = route\n"
        f"{_SPARED.get(pattern.kind, '')}"
        "zmban.dry_run = true\n"
    )


def _samples(pattern: MinedPattern) -> str:
    records = (
        {
            "kind": f"{pattern.id}, {number}",
            "found": True,
            "host": sample.client,
            "log": pattern.log,
            "line": sample.line,
        }
        for number, sample in enumerate(pattern.samples, start=1)
    )
    return "".join(f"{json.dumps(record)}\n" for record in records)


def _shipped() -> set[str]:
    """The names of the shipped filters and jails."""
    shipped = ConfigFiles(loading.layers(())[:1])
    return {*shipped.filter_names(), *shipped.jails().sections}


def _is_there(path: Path, text: str) -> bool:
    """Whether this file exists with this text. ConfigError if it has another one."""
    try:
        # Of a large file only so much is read as tells that it is another one.
        with path.open("rb") as file:
            found = file.read(len(text.encode()) + 1)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; choose another name") from error
    if found != text.encode():
        raise _other(path)
    return True


def _other(path: Path) -> ConfigError:
    return ConfigError(f"{path} is there already, with another text; choose another name, or remove it")


def _write(path: Path, text: str) -> None:
    """Create a file with this text. FileExistsError if it exists."""
    with whole_file(path, replace=False) as file:
        # Samples are lines of logs, which are nobody else's.
        os.fchmod(file.fileno(), 0o600 if path.suffix == ".jsonl" else 0o644)
        file.write(text.encode())
