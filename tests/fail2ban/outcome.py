"""What is true of every configuration that was loaded, whatever is in its files."""

from __future__ import annotations

import codecs
import tempfile
from functools import cache
from pathlib import Path

from sidecar.configuration import loading
from sidecar.detect.grammar import GRAMMARS
from sidecar.fail2ban import jails
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.tags import HOST_GROUPS
from sidecar.file_text import decoded
from sidecar.model import LONGEST, Fault
from sidecar.network import BITS
from sidecar.offline.check import host_check
from tests.steps import steps

# A jail in a file of its own, which no fault of another jail may stop.
BESIDE = {"jail.d/b.local": "[b]\nenabled = true\nlogpath = /y\nfailregex = ^ other <HOST>$\n"}
NAMES = {"jail": "jail.local", "filter": "filter.d/a.conf"}
LONGEST_MESSAGE = 1000
# Measured: 10,000 for two small jails, 600,000 where references expand to 25,000 characters, and up to 280 for each
# byte of a filter with many regexes.
STEPS, STEPS_PER_BYTE = 1_000_000, 400


def load(**files: bytes | str) -> jails.Configuration:
    """Load and check a directory of these files and BESIDE (`filter` is filter.d/a.conf), in a bounded number of
    steps."""
    files = {**BESIDE, **files}
    raw = {
        name: one if isinstance(one, bytes) else one.encode(errors="replace") for name, one in files.items()
    }
    with tempfile.TemporaryDirectory() as root:
        for name, content in raw.items():
            path = Path(root, NAMES.get(name, name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with steps(STEPS + STEPS_PER_BYTE * sum(map(len, raw.values()))):
            loaded = loading.load([root])
            faults = [*loaded.faults, *host_check.surroundings(loaded)]
        found = loaded.jails
        for fault in faults:
            assert_fault(fault, Path(root))
        for name, jail in found.jails.items():
            assert name == jail.name
            assert_can_run(jail, Path(root))
        # A jail that was asked for runs, or is known as stopped and says why; none does both.
        assert found.enabled - found.stopped == set(found.jails), (found.enabled, found.stopped)
        why = [fault.jail for fault in found.faults if not fault.warning]
        assert found.stopped <= set(why), (found.stopped, found.faults)
        assert len([*found.why_stopped()]) == (len(found.stopped) or not found.jails)
        lines.cache_clear()
        return found


@cache
def lines(file: str) -> int:
    """The number of lines of a file as an editor shows them."""
    text = decoded(Path(file).read_bytes())[0].replace("\r\n", "\n").replace("\r", "\n")
    return text.count("\n") + (not text.endswith("\n"))


def assert_fault(fault: Fault, root: Path) -> None:
    """It names a line that exists, in one printable line of limited length."""
    if fault.file.startswith("/proc/"):
        # A Fail2Ban of another test, seen by the check of the host.
        assert fault.warning, fault
        return
    assert Path(fault.file).is_relative_to(root), fault
    assert Path(fault.file).exists(), fault
    if Path(fault.file).is_file():
        assert 1 <= fault.line <= lines(fault.file), fault
    assert fault.message.strip() and "\n" not in fault.message, fault
    assert len(fault.message) <= LONGEST_MESSAGE, fault
    text = str(fault)
    assert text.isprintable() and text.startswith(f"{fault.file}:{fault.line}: "), fault


def assert_can_run(jail: JailSpec, root: Path) -> None:
    """It has a log, regexes that find a host, and values in their ranges."""
    assert jail.logpath and all(path.glob.startswith("/") for path in jail.logpath), jail
    assert jail.filter.failregex, jail
    assert jail.filter.grammar in (None, "log", *GRAMMARS), jail
    head = jail.filter.prefregex.regex.groupindex if jail.filter.prefregex else {}
    for pattern in jail.filter.failregex:
        # A grammar names the client itself, and a line of a session may have none.
        named = {*HOST_GROUPS, "mlfid"} & {*pattern.regex.groupindex, *head}
        assert jail.filter.grammar or named, pattern
    for pattern in (*jail.filter.failregex, *jail.filter.ignoreregex):
        assert pattern.regex.pattern, pattern
        assert 1 <= pattern.line <= lines(pattern.file) and Path(pattern.file).is_relative_to(root), pattern
    assert jail.maxretry >= 1 and jail.maxmatches >= 0, jail
    assert 0 < jail.findtime <= LONGEST, jail
    assert jail.bantime is None or 0 < jail.bantime <= LONGEST, jail
    for count in (1, 7, 10**6):
        if jail.increment is not None and jail.bantime is not None:
            assert 0 < jail.increment.seconds(jail.bantime, count, 0.5) <= LONGEST, jail
    assert 1 <= jail.ipv4_prefix <= BITS[4] and 1 <= jail.ipv6_prefix <= BITS[6], jail
    assert codecs.lookup(jail.logencoding), jail
    assert set(jail.ignoreip) <= set(jail.ignored.networks), jail


def is_cut_from(text: str, line: str) -> bool:
    """Whether a text is this line without one piece, as without its date."""
    begun = next(
        (at for at, pair in enumerate(zip(text, line, strict=False)) if pair[0] != pair[1]), len(text)
    )
    return line.endswith(text[begun:]) and len(text) <= len(line)
