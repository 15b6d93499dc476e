"""Fail2Ban's annotated sample logs, line by line through zmban's matcher, in process and by `zmban regex`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.offline.lines.regex_test import LineResult
from tests.cli.running import records, zmban
from tests.conformance import compare, corpus, counts, package
from tests.conformance.run import told

pytestmark = pytest.mark.conformance

# Also by the command: a plain filter, and filters with modes, sessions, undated lines, multi-line matches.
COMMANDED = ("apache-auth", "dovecot", "mongodb-auth", "mysqld-auth", "sshd")


def names() -> list[str]:
    """For parametrization only: without the package, each test fails with the reason."""
    try:
        return corpus.filters()
    except package.NoPackageError:
        return ["any filter"]


def test_the_corpus_is_whole() -> None:
    counted = counts.count(session for name in corpus.filters() for session in corpus.sessions(name))
    assert counts.shortfall(counted) is None


@pytest.mark.parametrize("name", names())
def test_a_filter_finds_in_its_samples_what_fail2ban_says(name: str) -> None:
    sessions = corpus.sessions(name)
    assert sessions, "no samples"
    found = [verdict for session in sessions for verdict in compare.verdicts(session)]
    wrong = [told(verdict) for verdict in found if verdict.wrong is not None and not verdict.known]
    assert not wrong, f"{len(wrong)} of {len(found)}\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("name", COMMANDED)
def test_the_command_says_of_each_line_what_the_matcher_says(name: str, tmp_path: Path) -> None:
    sessions = corpus.sessions(name)
    for session in (sessions[0], *sessions[1:][-1:]):
        log = tmp_path / "log"
        log.write_bytes("".join(f"{record.line}\n" for record in session.records).encode())
        options = ["--undated"] if session.journal else []
        done = zmban(
            "--config", compare.directory(session), "regex", "--jsonl", "--now", compare.NOW,
            "--timezone", compare.ZONE, *options, log, session.text,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert records(done) == [dict(reading.record()) for reading in compare.readings(session)]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("name == 'sshd'", True),
        ("name == 'other'", False),
        ("opts.get('mode') == 'aggressive'", True),
        ("opts.get('mode') != 'aggressive'", False),
        ("opts.get('none', 'x') == 'x' and not name == 'other'", True),
        ("name in ('a', 'sshd') or opts.get('mode') == 'x'", True),
    ],
)
def test_a_condition_of_a_sample_is_worked_out(condition: str, holds: bool) -> None:
    assert corpus.holds(condition, "sshd", {"mode": "aggressive"}) is holds


@pytest.mark.parametrize(
    "condition", ["__import__('os')", "opts['mode']", "name.upper() == 'X'", "opts.get(name)", "1 < 2"]
)
def test_a_condition_of_another_form_is_refused(condition: str) -> None:
    with pytest.raises(ValueError, match="not known here"):
        corpus.holds(condition, "sshd", {})


SSHD = corpus.Session("sshd", {})
FOUND = LineResult(
    1, "x", True, False, "192.0.2.1", 1119365266.0, {"user": "a", "users": ["b", "a"], "attempts": 2}, 0
)
TOLD = {"host": "192.0.2.1", "user": "a", "users": ["a", "b"], "attempts": 2}


def test_a_reading_that_is_as_annotated_is_right() -> None:
    record = corpus.Record("x", 1, "x", True, "2005-06-21T16:47:46", TOLD)
    assert compare.difference(SSHD, record, FOUND) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"match": False}, "a false match"),
        ({"time": "2005-06-21T16:47:47"}, "time"),
        ({"expected": TOLD | {"host": "192.0.2.2"}}, "host"),
        ({"expected": TOLD | {"users": ["a"]}}, "users"),
        ({"expected": TOLD | {"attempts": 1}}, "attempts"),
        ({"expected": TOLD | {"dns": "example.com"}}, "dns"),
    ],
)
def test_a_reading_that_is_not_as_annotated_is_wrong_and_says_in_what(
    change: dict[str, Any], says: str
) -> None:
    record = replace(corpus.Record("x", 1, "x", True, "2005-06-21T16:47:46", TOLD), **change)
    assert str(compare.difference(SSHD, record, FOUND)).startswith(says)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("192.030.0.6", True),
        ("192.0.2.256", True),
        ("192.0.2.1", False),
        ("example.com", False),
        ("2001:db8::1", False),
    ],
)
def test_only_what_looks_like_an_ipv4_address_and_is_none_differs_on_purpose(host: str, known: bool) -> None:
    missed = replace(FOUND, matched=False, host=None)
    assert compare.deliberate(corpus.Record("x", 1, "x", True, None, {"host": host}), missed) is known
