"""Runs every shipped jail over forged lines, and counts found, missed, framed and wrongly blamed clients."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from sidecar.detect.grammar import Trust
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban import jails
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import Match, Refused
from sidecar.network import Network
from tests.blame.forge import Forged, Sample

CONFIG = Path(__file__).parents[2] / "config"
NOW = 1772366400.0
# The proxy of the samples.
TRUST = Trust([Network.parse("10.0.0.0/8")])


@dataclass
class Row:
    """The results of one filter, for forged lines of attackers that it finds without the forgery."""

    lines: int = 0
    found: int = 0
    framed: int = 0
    innocent: list[str] = field(default_factory=list)

    def add(self, other: Row) -> None:
        """Add the results of another trial."""
        self.lines += other.lines
        self.found += other.found
        self.framed += other.framed
        self.innocent += other.innocent

    @property
    def missed(self) -> int:
        return self.lines - self.found


def every_jail() -> dict[str, JailSpec]:
    """All shipped jails, enabled or not."""
    files = ConfigFiles([CONFIG])
    found = (jails.one(files, name)[0] for name in files.jails().sections)
    return {jail.name: jail for jail in found if jail is not None}


class Trial:
    """Runs all jails of each log, line by line."""

    def __init__(self) -> None:
        known = every_jail()
        self._filters = {name: jail.filter.name for name, jail in known.items()}
        by_log = defaultdict(list)
        for jail in known.values():
            for log in jail.logpath:
                by_log[log.glob.rpartition("/")[2]].append(jail)
        # Logs that no shipped jail reads; a jail that uses them must be as safe.
        by_log |= {"access_log": by_log["nginx.access.log"], "sync.log": by_log["mailbox.log"]}
        self._scanners = {log: Scanner(f"/{log}", found, UTC, TRUST) for log, found in by_log.items()}
        self.rows: dict[str, Row] = defaultdict(Row)

    def finds(self, sample: Sample, line: str) -> bool:
        """Whether the sample's filter finds the sample's attacker in this line."""
        told = self._scanners[sample.log].scan(line.encode() + b"\n", NOW)
        return any(
            isinstance(t, Match) and self._filters[t.jail] == sample.filter and t.host == sample.host
            for t in told
        )

    def ask(self, forged: Forged) -> None:
        """Count the results of the jails for one line. The host they find must be the client that the server wrote."""
        sample = forged.sample
        told = self._scanners[sample.log].scan(forged.line.encode() + b"\n", NOW)
        refused = Counter(
            self._filters[t.jail] for t in told if isinstance(t, Refused) and t.reason == "framed"
        )
        for name, framed in refused.items():
            self.rows[name].framed += framed
        matches = [t for t in told if isinstance(t, Match)]
        for match in matches:
            # IPv6 addresses are compared in canonical form.
            if match.host is not None and match.host != sample.host and match.host not in sample.line:
                self.rows[self._filters[match.jail]].innocent.append(f"{match.host}: {forged.line}")
        if sample.found:
            row = self.rows[sample.filter]
            row.lines += 1
            row.found += any(
                self._filters[m.jail] == sample.filter and m.host == sample.host for m in matches
            )


def table(rows: dict[str, Row]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| filter | forged lines | found | missed | framed | innocent |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in sorted(rows.items()):
        share = f"{row.found / row.lines:.2%}" if row.lines else "-"
        lines.append(
            f"| {name} | {row.lines:,} | {share} | {row.missed:,} | {row.framed:,} | {len(row.innocent)} |"
        )
    return "\n".join(lines) + "\n"
