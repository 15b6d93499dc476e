"""Adopted patterns become files that `zmban check` accepts, whatever their lines contain."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from sidecar.cli import zmban
from sidecar.configuration import loading
from sidecar.detect.match.forged_example import forged
from sidecar.fail2ban import jails
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import ConfigError
from sidecar.offline.lines import regex_test
from sidecar.offline.lines.regex_test import ReadOptions
from sidecar.offline.review import filter_adoption
from sidecar.review.patterns.mined_pattern import MinedPattern
from tests.review.patterns.logs import ATTACKS, CONFIG, NOW, TRUST, attacked, attackers, patterns
from tests.review.patterns.test_any_text import CASES, TEXT


def proposed(name: str) -> MinedPattern:
    attack = ATTACKS[name]
    (pattern,) = [one for one in patterns(attack.log, attacked(attack)[0]) if one.failregex]
    return pattern


@pytest.mark.parametrize("name", ATTACKS)
def test_adopted_files_pass_zmban_check_on_top_of_the_shipped_ones(name: str, tmp_path: Path) -> None:
    pattern = proposed(name)
    filter_adoption.write(pattern, "new-attack", tmp_path)
    log = tmp_path / ATTACKS[name].log
    log.write_text("")
    options = (
        "zimbra_log",
        "zimbra_mailbox_log",
        "zimbra_audit_log",
        "zimbra_nginx_log",
        "zimbra_access_log",
    )
    (tmp_path / "jail.local").write_text("[DEFAULT]\n" + "".join(f"{one} = {log}\n" for one in options))
    loaded = loading.load([str(CONFIG), str(tmp_path)])
    assert [str(f) for f in loaded.faults] == []
    jail = loaded.jails.jails["new-attack"]
    assert jail.dry_run and jail.filter.usedns == "no" and len(jail.filter.failregex) == 1
    told = CliRunner().invoke(zmban, ["--config", str(CONFIG), "--config", str(tmp_path), "check", "--jsonl"])
    faults = [json.loads(line) for line in told.output.splitlines()]
    assert [f for f in faults if not f["warning"] or "new-attack" in (f["file"], f["jail"])] == []
    assert told.exit_code == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_the_adopted_filter_finds_its_samples(name: str, tmp_path: Path) -> None:
    pattern = proposed(name)
    filter_adoption.write(pattern, "new-attack", tmp_path)
    samples = [json.loads(line) for line in (tmp_path / "samples/new-attack.jsonl").read_text().splitlines()]
    assert len(samples) == 10 and {one["log"] for one in samples} == {pattern.log}
    target = regex_test.target(ConfigFiles([CONFIG, tmp_path]), "new-attack", {})
    assert target.faults == ()
    results = regex_test.read(
        [one["line"] for one in samples], target.spec, ReadOptions(UTC, NOW, TRUST), pattern.log
    )
    assert [one.host for one in results] == [one["host"] for one in samples]


def test_files_are_written_once_and_never_over_others(tmp_path: Path) -> None:
    pattern = proposed("nginx.log")
    paths = filter_adoption.write(pattern, "new-attack", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in paths) == [
        "filter.d/new-attack.conf", "jail.d/new-attack.conf", "samples/new-attack.jsonl",
    ]  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in paths}
    assert filter_adoption.write(pattern, "new-attack", tmp_path) == paths
    assert {path: path.stat().st_mtime_ns for path in paths} == before
    # Lines of logs are nobody else's.
    assert stat.S_IMODE((tmp_path / "samples/new-attack.jsonl").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="another text"):
        filter_adoption.write(replace(pattern, count=1), "new-attack", tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_is_written_if_one_file_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "jail.d").mkdir()
    own = tmp_path / "jail.d/new-attack.conf"
    own.write_text("[new-attack]\nenabled = false\n")
    with pytest.raises(ConfigError, match=r"jail\.d/new-attack\.conf is there already"):
        filter_adoption.write(proposed("nginx.log"), "new-attack", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]
    assert own.read_text() == "[new-attack]\nenabled = false\n"


@pytest.mark.parametrize(
    "name", ["", "../x", "a b", "x]\n[y", "A", "-x", "x" * 61, "default", "zimbra-smtp", "x%", "x.conf"]
)
def test_a_name_that_is_none_or_a_shipped_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        filter_adoption.write(proposed("nginx.log"), name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_without_a_failregex_is_not_adopted(tmp_path: Path) -> None:
    pattern = replace(proposed("nginx.log"), failregex="", why_not="it is no attack")
    with pytest.raises(ConfigError, match="it is no attack"):
        filter_adoption.files(pattern, "x")
    with pytest.raises(ConfigError, match="no such configuration directory"):
        filter_adoption.write(proposed("nginx.log"), "x", tmp_path / "gone")


@pytest.mark.parametrize("text", ["^a<HOST>\nignoreregex = .", "^x ; <HOST>", "^x #<HOST>", "^\x1b<HOST>"])
def test_a_failregex_that_ends_its_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ends a value"):
        filter_adoption.files(replace(proposed("nginx.log"), failregex=text), "x")


@given(CASES, TEXT)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_text_of_a_client_gets_out_of_its_value(case: tuple[str, str], text: str) -> None:
    log, form = case
    lines = [form.format(c=client, n=i, t=text) for i, client in enumerate(attackers(10))]
    for pattern in patterns(log, lines):
        if pattern.failregex:
            with TemporaryDirectory() as directory:
                adopted(pattern, log, Path(directory))


def adopted(pattern: MinedPattern, log: str, directory: Path) -> None:
    """Adopt a pattern, and compare what is read from its files with it."""
    filter_adoption.write(pattern, "any-text", directory)
    spec, faults = jails.one(ConfigFiles([CONFIG, directory]), "any-text")
    assert spec is not None and faults == []
    assert spec.dry_run and spec.filter.ignoreregex == () and len(spec.filter.failregex) == 1
    assert spec.filter.failregex[0].text == pattern.failregex
    assert forged(spec.filter.failregex[0].regex) is None
    samples = (directory / "samples/any-text.jsonl").read_text().splitlines()
    assert [json.loads(one)["line"] for one in samples] == [one.line for one in pattern.samples]
    lines = [one.line for one in pattern.samples]
    results = regex_test.read(lines, spec.filter, ReadOptions(UTC, NOW, TRUST), log)
    assert [one.host for one in results] == [regex_test.canonical(one.client) for one in pattern.samples]
