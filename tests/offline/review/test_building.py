"""A report of files needs no service: counts, decisions and new patterns in one go."""

from __future__ import annotations

import bz2
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.review.mail_log import MailLog, iso
from sidecar.configuration import loading
from sidecar.model import SourceError
from sidecar.offline.review import file_counting
from sidecar.offline.review.building import FileReport
from sidecar.offline.review.log_tally import Readers
from tests.app.running import SHIPPED

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
NEW = "2026-11-26T0{hour}:10:0{n}+00:00 mail postfix/smtpd[7]: warning: unknown[203.0.113.{n}]: weird handshake refused: {word}"


def written(path: Path, lines: int = 3000, seed: int = 1) -> Path:
    path.write_text("".join(f"{line}\n" for line in MailLog(seed, iso).lines(lines)), encoding="utf-8")
    return path


def built(*paths: Path, day: str | None = None) -> dict[str, Any]:
    readers = Readers.of(loading.load([str(SHIPPED)]), UTC)
    return FileReport(readers, NOW, day).build([str(path) for path in paths])


def mail(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("totals", "hours", "senders", "recipients", "rejects", "warnings")}


def test_the_record_is_json_and_has_everything(tmp_path: Path) -> None:
    report = built(written(tmp_path / "zimbra.log"))
    assert json.loads(json.dumps(report)) == report
    assert report["report"] == "2026-11-26"
    assert report["totals"]["received"] > 100
    assert report["decisions"]["jails"]["zimbra-smtp"]["failures"] > 0
    assert report["decisions"]["bans"][0]["evidence"]
    assert report["sources"] == [{"source": str(tmp_path / "zimbra.log"), "lines": len((tmp_path / "zimbra.log").read_text().splitlines())}]  # fmt: skip


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, "gz"), (bz2.compress, "bz2")])
def test_a_compressed_file_gives_the_same(tmp_path: Path, pack: Any, suffix: str) -> None:
    plain = written(tmp_path / "zimbra.log")
    packed = tmp_path / f"zimbra.log.1.{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))
    assert mail(built(packed)) == mail(built(plain))
    assert built(packed)["decisions"] == built(plain)["decisions"]


def test_several_processes_give_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path / "zimbra.log", 8000)
    alone = built(log)
    monkeypatch.setattr(file_counting, "_SHORT", 1000)
    monkeypatch.setattr(file_counting, "_MOST_PROCESSES", 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    together = built(log)
    assert mail(together) == mail(alone)
    assert together["sources"] == alone["sources"]
    assert [p["id"] for p in together["patterns"]] == [p["id"] for p in alone["patterns"]]


def test_a_message_may_begin_in_one_file_and_end_in_the_next(tmp_path: Path) -> None:
    lines = [f"{line}\n" for line in MailLog(3, iso).lines(2000)]
    (tmp_path / "all").write_text("".join(lines))
    (tmp_path / "a").write_text("".join(lines[:901]))
    (tmp_path / "b").write_text("".join(lines[901:]))
    assert mail(built(tmp_path / "a", tmp_path / "b")) == mail(built(tmp_path / "all"))


def test_a_report_of_one_day_leaves_out_the_others(tmp_path: Path) -> None:
    log = tmp_path / "zimbra.log"
    failed = "{day}T08:00:0{n}+00:00 mail postfix/smtpd[1]: warning: unknown[203.0.113.{n}]: SASL LOGIN authentication failed: x"
    accepted = "{day}T09:00:00+00:00 mail postfix/smtpd[1]: AB{n}: client=x.example[198.51.100.1]"
    days = [("2026-11-25", 3), ("2026-11-26", 5)]
    log.write_text("".join(f"{line.format(day=day, n=n)}\n" for day, most in days for n in range(most) for line in (failed, accepted)))  # fmt: skip
    whole, one, none = built(log), built(log, day="2026-11-26"), built(log, day="2026-11-24")
    assert whole["report"] == "2026-11-25 to 2026-11-26"
    assert [r["totals"]["received"] for r in (whole, one, none)] == [8, 5, 0]
    assert [
        r["decisions"]["jails"].get("zimbra-smtp", {}).get("failures", 0) for r in (whole, one, none)
    ] == [8, 5, 0]


def test_an_empty_log_has_an_empty_report(tmp_path: Path) -> None:
    (tmp_path / "zimbra.log").write_text("")
    report = built(tmp_path / "zimbra.log")
    assert (report["report"], report["patterns"], set(report["totals"].values())) == ("no day", [], {0})


def test_a_file_that_cannot_be_read_is_named_and_the_others_count(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log")
    report = built(tmp_path / "gone.log", tmp_path, log)
    assert report["totals"]["received"] > 0
    assert [str(tmp_path / "gone.log") in report["faults"][0], "directory" in report["faults"][1]] == [
        True,
        True,
    ]
    with pytest.raises(SourceError, match="not there"):
        built(tmp_path / "gone.log")


def test_a_new_kind_of_attack_is_found_and_tried(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", 1500)
    new = [NEW.format(hour=hour, n=n, word=f"\\x{hour}{n}") for hour in range(1, 6) for n in range(1, 6)]
    text = log.read_text().splitlines()
    for place, line in enumerate(new):
        text.insert(place * 40, line)
    log.write_text("\n".join(text) + "\n")
    found = [one for one in built(log)["patterns"] if "weird handshake" in one["template"]]
    assert [(one["count"], one["clients"]) for one in found] == [(25, 5)]
    assert found[0]["trial"]["hits"] == 25
    assert sorted(found[0]["trial"]["banned"]) == [f"203.0.113.{n}" for n in range(1, 6)]
    # A mail server of the log has this address, too.
    assert [one["client"] for one in found[0]["trial"]["known_good"]] in ([], ["203.0.113.5"])


def test_the_kind_of_a_log_with_another_name_is_found_out(tmp_path: Path) -> None:
    named, other = written(tmp_path / "zimbra.log"), written(tmp_path / "yesterday.txt")
    assert built(other)["decisions"] == built(named)["decisions"]
