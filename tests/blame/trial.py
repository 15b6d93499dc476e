"""Every shipped jail over forged lines: who is found, who is missed, who is framed, and whether anybody innocent is."""

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
    """One filter: forged lines of attackers that it finds without the forgery, and what became of them."""

    lines: int = 0
    found: int = 0
    framed: int = 0
    innocent: list[str] = field(default_factory=list)

    def add(self, other: Row) -> None:
        """Count what another trial found, too."""
        self.lines += other.lines
        self.found += other.found
        self.framed += other.framed
        self.innocent += other.innocent

    @property
    def missed(self) -> int:
        return self.lines - self.found


def every_jail() -> dict[str, JailSpec]:
    """All that are shipped, enabled or not."""
    files = ConfigFiles([CONFIG])
    found = (jails.one(files, name)[0] for name in files.jails().sections)
    return {jail.name: jail for jail in found if jail is not None}


class Trial:
    """All jails of each log, asked line by line."""

    def __init__(self) -> None:
        known = every_jail()
        self._filters = {name: jail.filter.name for name, jail in known.items()}
        by_log = defaultdict(list)
        for jail in known.values():
            for log in jail.logpath:
                by_log[log.glob.rpartition("/")[2]].append(jail)
        # These no jail reads as it is shipped; who adds them to one is to be as safe.
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
        """Count what the jails say of one line. Whoever is found must be whom the server had written into it."""
        sample = forged.sample
        told = self._scanners[sample.log].scan(forged.line.encode() + b"\n", NOW)
        refused = Counter(
            self._filters[t.jail] for t in told if isinstance(t, Refused) and t.reason == "framed"
        )
        for name, framed in refused.items():
            self.rows[name].framed += framed
        matches = [t for t in told if isinstance(t, Match)]
        for match in matches:
            # An IPv6 address is told as everybody writes it, however the server did.
            if match.host is not None and match.host != sample.host and match.host not in sample.line:
                self.rows[self._filters[match.jail]].innocent.append(f"{match.host}: {forged.line}")
        if sample.found:
            row = self.rows[sample.filter]
            row.lines += 1
            row.found += any(
                self._filters[m.jail] == sample.filter and m.host == sample.host for m in matches
            )


def table(rows: dict[str, Row]) -> str:
    """As Markdown."""
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
