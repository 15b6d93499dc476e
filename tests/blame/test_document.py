"""docs/filters.md says what the shipped filters and jails say, with a line that each finds."""

from __future__ import annotations

import re

import pytest

from sidecar.fail2ban.jails import JailSpec
from tests.blame.forge import samples
from tests.blame.trial import CONFIG, every_jail

DOCUMENT = CONFIG.parent / "docs/filters.md"
_HEAD = """# Filters and jails for Zimbra

What is shipped in `config/filter.d` and `config/jail.d`, written by `tests/blame/test_document.py` from the files
themselves; a filter's own words stand at its head. Change nothing there: what you write into `jail.d/*.local` of your own
directory counts. Figures are those of the practice for `zimbra-smtp`, `zimbra-mail`, `zimbra-nginx`; the others' are ours,
generous where an innocent could be meant. What attacks they are for: [attacks.md](attacks.md).

"""


def test_the_document_says_what_the_files_say() -> None:
    enabled = set(re.findall(r"^\[([\w-]+)\]\nenabled  = true", _jails(), re.MULTILINE))
    now = _HEAD + "\n".join(_section(jail, jail.name in enabled) for jail in every_jail().values())
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != now:
        DOCUMENT.write_text(now, encoding="utf-8")
        pytest.fail("docs/filters.md said otherwise and was written anew: read it, and commit it")


def _jails() -> str:
    return (CONFIG / "jail.d/zimbra.conf").read_text(encoding="utf-8")


def _section(jail: JailSpec, enabled: bool) -> str:
    known = [sample for sample in samples() if sample.filter == jail.filter.name]
    example = next((s.line for s in known if s.found), next((s.line for s in known), ""))
    logs = ", ".join(dict.fromkeys(log.glob.rpartition("/")[2] for log in jail.logpath))
    what = "reports only" if jail.report_only else "confirms only" if jail.confirms else _figures(jail)
    state = "on" if enabled else "**off**"
    counts = f"{sum(s.found for s in known)} samples found, {sum(not s.found for s in known)} not or forged"
    lines = [
        f"## {jail.name}", "", _words(jail.filter.name), "", f"- {logs}; {state}; {what}; {counts}", "", "```",
        example, "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _figures(jail: JailSpec) -> str:
    counted = "logins" if jail.count == "logins" else "lines"
    if jail.distinct:
        counted = f"distinct {jail.distinct}s"
    bantime = "for ever" if jail.bantime is None else f"for {jail.bantime / 86400:,.0f} days"
    return f"{jail.maxretry} {counted} in {jail.findtime:,.0f} s, {bantime}"


def _words(name: str) -> str:
    """The comment at the head of a filter, its paragraphs kept."""
    head = (CONFIG / "filter.d" / f"{name}.conf").read_text(encoding="utf-8")
    found = re.match(r"(?:#[^\n]*\n)+", head)
    assert found, name
    return "\n".join(line.removeprefix("#").strip() for line in found[0].splitlines()).strip()
