"""Paths of the shipped configuration and fetched programs, and configurations for the benchmark."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.scan import access

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
_TOOLS = ROOT / "scripts" / "bench-tools.sh"
# maxretry and times of the shipped zimbra-smtp.
_JAIL = "enabled = true\nfindtime = 86400\nbantime = 360000000\nusedns = no\naction = route\n"
_NAMED = r"\[(?:[A-Za-z]\w*=(?:[^;]|;;)*;)*oip=<HOST>;(?:[A-Za-z]\w*=(?:[^;]|;;)*;)*\]"
_ANY = r"\[(?:[A-Za-z]\w*=(?:[^;]|;;)*;)*\]"


@cache
def tool(name: str) -> Path:
    """The path of `ripgrep`, `sshguard` or `plot` (a Python with matplotlib); fetched if missing. RuntimeError if
    it is not available."""
    done = subprocess.run(["sh", str(_TOOLS), name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"no {name}: {done.stderr.strip()}")
    return Path(done.stdout.strip().partition("=")[2])


def package_version(name: str) -> str:
    """The version of a fetched package."""
    root = next(p for p in tool(name).parents if (p / "version").is_file())
    return (root / "version").read_text(encoding="utf-8").strip()


def configuration(
    place: Path, jails: Sequence[tuple[str, str, int]], filters: dict[str, str] | None = None
) -> Path:
    """A configuration directory with these jails (name, filter, maxretry), the shipped filters and these filters."""
    (place / "filter.d").mkdir(parents=True)
    (place / "jail.d").mkdir()
    for shipped in (CONFIG / "filter.d").glob("*.conf"):
        (place / "filter.d" / shipped.name).symlink_to(shipped)
    for name, text in (filters or {}).items():
        (place / "filter.d" / f"{name}.conf").write_text(text, encoding="utf-8")
    text = "".join(
        f"[{name}]\n{_JAIL}filter = {filter_}\nmaxretry = {most}\nlogpath = {place}/none.log\n\n"
        for name, filter_, most in jails
    )
    (place / "jail.d" / "bench.conf").write_text(text, encoding="utf-8")
    return place


def for_access(place: Path) -> Path:
    """A configuration with one jail for nginx.access.log."""
    return configuration(place, [("bench-access", "bench-access", 2)], {"bench-access": access.FILTER})


def mailbox_filter(place: Path) -> Path:
    """zimbra-mail for programs without log grammars: captures the client's address at its most frequent place."""
    text = (CONFIG / "filter.d" / "zimbra-mail.conf").read_text(encoding="utf-8")
    if _ANY not in text:
        raise RuntimeError("zimbra-mail.conf has another head now: mend places.py")
    path = place / "bench-mailbox.conf"
    path.write_text(text.replace(_ANY, _NAMED), encoding="utf-8")
    return path


def failregex_file(path: Path, regexes: Sequence[str]) -> Path:
    """A file of regexes for ripgrep, one per line."""
    path.write_text("".join(f"{regex}\n" for regex in regexes), encoding="utf-8")
    return path
