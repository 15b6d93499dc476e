"""Compares the attempts of the demonstration's clients with the bans, and prints a summary.

    zmban bans --jsonl | python3 -m demo.summary --report attempts.jsonl

The exit code is 1 if an attacker was not banned within 10 s of its last needed attempt, if it connected more
than 1 s after its ban, if a legitimate login with the right password failed, or if a legitimate address is
banned.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from statistics import median
from typing import Any

WITHIN = 10.0  # limit in seconds from the last needed attempt to the first unanswered one
GRACE = 1.0  # seconds after the ban in which a running handshake may still complete
HEAD = ("attack", "server", "attackers", "banned", "shut out after s", "at most", "got in later")

Record = dict[str, Any]


class Bans:
    """The active bans; `since` gives the start of an address's earliest ban."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.networks: list[tuple[IPv4Network | IPv6Network, float]] = []
        for line in lines:
            if line.strip():
                ban = json.loads(line)
                self.networks.append((ip_network(ban["network"]), float(ban["since"])))

    def since(self, who: str) -> float | None:
        address = ip_address(who)
        return min((since for network, since in self.networks if address in network), default=None)


@dataclass(slots=True)
class Row:
    """The results of the attackers of one kind at one server."""

    attackers: int = 0
    banned: int = 0
    seconds: list[float] = field(default_factory=list)  # last needed attempt to first one unanswered
    later: int = 0

    def cells(self) -> list[str]:
        middle, longest = (
            (f"{median(self.seconds):.1f}", f"{max(self.seconds):.1f}") if self.seconds else ("", "")
        )
        return [str(self.attackers), str(self.banned), middle, longest, str(self.later)]


def last_run(lines: Iterable[str]) -> list[Record]:
    """The records of the latest run in the report."""
    records: list[Record] = [json.loads(line) for line in lines]
    latest = max((record["run"] for record in records), default=0)
    return [record for record in records if record["run"] == latest]


def judge_attacker(attempts: list[Record], since: float | None, row: Row) -> list[str]:
    """Counts one attacker in its row; returns the failed checks."""
    who, needed = attempts[0]["who"], attempts[0]["needed"]
    landed = [record for record in attempts if record["outcome"] != "blocked"]
    blocked = [record for record in attempts if record["outcome"] == "blocked"]
    row.attackers += 1
    if since is None:
        return [f"{who} was never banned: {len(landed)} attempts got through, {needed} were needed"]
    row.banned += 1
    if not landed:  # banned before this run
        return []
    if not blocked:
        return [f"{who} is banned, but no attempt was blocked"]
    # `since` has a resolution of one second, so it may lie before the attempt that caused the ban.
    earned = landed[min(needed, len(landed)) - 1]["at"]
    took = max(0.0, blocked[0]["began_at"] - earned)
    row.seconds.append(took)
    late = [r["connected_at"] - max(since, earned) for r in attempts if r["connected_at"]]
    late = [seconds for seconds in late if seconds > GRACE]
    row.later += len(late)
    broken = [f"{who} was blocked {took:.1f} s after its last needed attempt"] if took > WITHIN else []
    if late:
        broken.append(f"{who} connected {max(late):.1f} s after its ban")
    return broken


def judge_attackers(records: list[Record], bans: Bans) -> tuple[list[list[str]], list[str]]:
    """The rows of the table, and the failed checks."""
    rows: dict[tuple[str, str], Row] = {}
    attackers: dict[str, list[Record]] = {}
    broken: list[str] = []
    for record in records:
        if record["role"] == "attacker":
            attackers.setdefault(record["who"], []).append(record)
    for who, attempts in attackers.items():
        row = rows.setdefault((attempts[0]["kind"], attempts[0]["server"]), Row())
        broken += judge_attacker(attempts, bans.since(who), row)
    return [[*key, *row.cells()] for key, row in sorted(rows.items())], broken


def judge_friends(records: list[Record], bans: Bans) -> tuple[list[str], list[str]]:
    """The summary of the legitimate clients, and the failed checks."""
    friends = [record for record in records if record["role"] == "legit"]
    wanted = [record for record in friends if record["kind"] != "mistype"]
    worked = [record for record in wanted if record["outcome"] == "accepted"]
    mistyped = len(friends) - len(wanted)
    people = {record["who"] for record in friends}
    said = [
        f"{len(people)} legitimate clients: {len(worked)} of {len(wanted)} logins and deliveries worked,"
        f" {mistyped} passwords mistyped on purpose"
    ]
    broken = [
        f"{r['who']} was refused at {r['server']}: {r['detail']}"
        for r in wanted
        if r["outcome"] != "accepted"
    ]
    broken += [
        f"{who} is banned and has done nothing" for who in sorted(people) if bans.since(who) is not None
    ]
    if not wanted:
        broken.append("no legitimate client has made an attempt")
    return said, broken


def table(rows: list[list[str]]) -> str:
    """The rows as aligned text; numbers are right-aligned."""
    lines = [list(HEAD), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", type=Path, default=Path("/var/lib/zmban-demo/attempts.jsonl"))
    parser.add_argument("--bans", type=argparse.FileType(encoding="utf-8"), default=sys.stdin)
    arguments = parser.parse_args()
    bans = Bans(arguments.bans)
    records = last_run(arguments.report.read_text(encoding="utf-8").splitlines())
    rows, broken = judge_attackers(records, bans)
    said, more = judge_friends(records, bans)
    broken += more
    if not rows:
        broken.append("no attacker has done anything")
    print(table(rows), "", *said, sep="\n")
    print(*(f"BROKEN: {promise}" for promise in broken), sep="\n", end="\n" if broken else "")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
