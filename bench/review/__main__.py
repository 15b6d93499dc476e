"""The benchmark of the daily review: `make bench-review`, or `python -m bench.review --help`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import page
from bench.page import Goal, Table, goals_table
from bench.review.mail_log import MailLog, iso
from bench.scan.places import ROOT
from tests.app.running import SHIPPED

_ZMBAN = Path(sys.executable).with_name("zmban")
_WORKER = [sys.executable, "-P", "-m", "sidecar.offline.review.worker"]
_DAY, _NOW = "2026-11-26", "1795780800"
_BLOCK = 200_000
_INTRODUCTION = """
`make bench-review` writes this part. The log is a Zimbra's mail log: half of its lines belong to messages on their way, a
tenth are rejections and warnings; a block of 200,000 generated lines is repeated. *Files*: `zmban report --log`, the whole
process, with decisions of all shipped jails and new patterns, beside pflogsumm on the beginning of the same log. *Kept day*:
from the request of the service to the answer, after the lines were counted while they were written. *Scan*: `zmban replay`
of the log, turn by turn alone and while another process counts, as it does beside the service.
"""


def _written(path: Path, lines: int) -> Path:
    block = "".join(
        f"{line}\n" for line in itertools.islice(MailLog(1, iso, step=0.001).lines(_BLOCK), _BLOCK)
    )
    with path.open("w", encoding="utf-8") as file:
        for _ in range(max(1, lines // _BLOCK)):
            file.write(block)
    return path


def _timed(*command: object, stdin: str | None = None) -> tuple[float, str]:
    begun = time.perf_counter()
    ran = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, input=stdin, check=True
    )
    return time.perf_counter() - begun, ran.stdout


def _request(root: Path, log: Path, do: str) -> str:
    asked = {
        "do": do, "state": str(root), "config": [str(SHIPPED)], "zone": "UTC", "logs": [[str(log), "zimbra.log"]],
        "ours": [], "today": _DAY, "day": _DAY, "decisions": {}, "more": {},
    }  # fmt: skip
    return json.dumps(asked)


@contextlib.contextmanager
def _counting_beside(root: Path, log: Path) -> Iterator[None]:
    """Count a log again and again at the lowest priority, as the service has it counted."""
    root.mkdir(exist_ok=True)
    text = "import sys, subprocess\nwhile True:\n  subprocess.run(sys.argv[3:], input=sys.argv[1].encode(), stdout=-3)\n"
    text += "  __import__('pathlib').Path(sys.argv[2]).unlink()\n"
    command = [
        sys.executable,
        "-c",
        text,
        _request(root, log, "count"),
        str(root / "review.sqlite3"),
        *_WORKER,
    ]
    beside = subprocess.Popen(command, start_new_session=True)
    try:
        time.sleep(1.5)
        yield
    finally:
        subprocess.run(["kill", "--", f"-{beside.pid}"], check=False)
        beside.wait()


class Found:
    """The figures."""

    def __init__(self, root: Path, lines: int, rounds: int) -> None:
        log, short = _written(root / "zimbra.log", lines), _written(root / "short.log", min(lines, 1_000_000))
        self.lines = lines
        self.ours = statistics.median(
            _timed(_ZMBAN, "--config", SHIPPED, "report", "--log", log, "--now", _NOW, "--json")[0]
            for _ in range(rounds)
        )
        self.short = min(lines, 1_000_000)
        self.theirs = statistics.median(_timed("pflogsumm", short)[0] for _ in range(rounds))
        kept = root / "kept"
        kept.mkdir()
        self.first = _timed(*_WORKER, stdin=_request(kept, log, "count"))[0]
        self.kept = statistics.median(
            _timed(*_WORKER, stdin=_request(kept, log, "report"))[0] for _ in range(rounds)
        )
        replay = (
            _ZMBAN,
            "--config",
            SHIPPED,
            "replay",
            "--now",
            _NOW,
            "--jsonl",
            "--log",
            f"zimbra-smtp={log}",
        )
        self.alone, self.beside = [], []
        for _ in range(rounds):
            self.alone.append(_timed(*replay)[0])
            with _counting_beside(root / "beside", log):
                self.beside.append(_timed(*replay)[0])

    def goals(self) -> Iterator[Goal]:
        """All bars."""
        speed = self.lines / self.ours
        yield Goal("report over files, lines/s", "≥ 1,000,000", f"{speed:,.0f}", speed >= 1e6)
        yield Goal(
            f"report of a kept day of {self.lines:,} lines", "< 2 s", f"{self.kept:.2f} s", self.kept < 2
        )
        slower = statistics.median(self.beside) / statistics.median(self.alone) - 1
        yield Goal("scan while logs are counted: slower by", "≤ 10 %", f"{100 * slower:.1f} %", slower <= 0.1)

    def tables(self) -> Iterator[Table]:
        """Everything that was measured."""
        yield goals_table(self.goals())
        ratio = (self.lines / self.ours) / (self.short / self.theirs)
        rows = [
            ("zmban report --log", f"{self.lines:,}", f"{self.ours:.2f}", f"{self.lines / self.ours:,.0f}", "1x"),
            ("pflogsumm", f"{self.short:,}", f"{self.theirs:.2f}", f"{self.short / self.theirs:,.0f}", f"{ratio:.2f}x"),
            ("the service's first count", f"{self.lines:,}", f"{self.first:.2f}", f"{self.lines / self.first:,.0f}", ""),
        ]  # fmt: skip
        yield Table("Mail logs", ("program", "lines", "seconds", "lines/s", "zmban is"), rows)
        scans = [(name, *(f"{value:.2f}" for value in (min(some), statistics.median(some), max(some))))
                 for name, some in (("alone", self.alone), ("beside counting", self.beside))]  # fmt: skip
        yield Table("zmban replay", ("", "least s", "median s", "most s"), scans)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(prog="bench-review", description=__doc__)
    options.add_argument("--quick", action="store_true", help="a shorter log; writes no page")
    options.add_argument("--lines", type=int, default=10_000_000, help="of the log")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        found = Found(Path(root), 400_000 if given.quick else given.lines, 1 if given.quick else 3)
    page.show(found.tables())
    if given.quick:
        return
    page.write(
        ROOT / "docs/benchmarks.md",
        "bench-review",
        page.part("The daily review", _INTRODUCTION, found.tables()),
    )


if __name__ == "__main__":
    main()
