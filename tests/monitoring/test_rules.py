"""The alert rules: promtool accepts them, each fires when it should, and its texts are complete."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.conftest import CONFIG, Watched, program
from tests.monitoring.hosts import HEALTHY, Host
from tests.monitoring.queries import ask

RULES = CONFIG.parent / "rules/zmban.yml"
UNIT_TESTS = sorted((CONFIG.parent / "tests").glob("*.yml"))


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def alerts(url: str) -> dict[str, list[dict[str, Any]]]:
    """Pending and firing alerts by rule."""
    groups = ask(url, "rules")["groups"]
    return {rule["name"]: rule["alerts"] for group in groups for rule in group["rules"] if "alerts" in rule}


def test_promtool_accepts_the_configuration_and_the_rules_it_loads() -> None:
    promtool("check", "config", CONFIG)
    promtool("check", "rules", "--lint-fatal", RULES)


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", *UNIT_TESTS)


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = [
        (case["expr"], bool(case["exp_samples"]))
        for file in UNIT_TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["promql_expr_test"]
    ]
    for rule in rules():
        fired = {fires for expression, fires in cases if f'"{rule["alert"]}"' in expression}
        assert fired == {True, False}, rule["alert"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_for_how_long_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["for"].endswith(("m", "h"))
    assert set(rule["annotations"]) == {"summary", "description", "check", "action", "runbook_url"}
    assert len(rule["annotations"]["summary"]) < 120


def of_the_healthy(watched: Watched) -> list[str]:
    """The alerts for the healthy host."""
    found = (
        (name, alert["labels"]) for name, instances in alerts(watched.url).items() for alert in instances
    )
    return [name for name, labels in found if labels.get("instance") == watched.healthy]


def test_no_alert_rises_for_a_healthy_host(watched: Watched) -> None:
    # On a busy machine a scrape may be lost, which is harmless; a faulty rule fires repeatedly.
    deadline = time.monotonic() + 15
    while (risen := of_the_healthy(watched)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert risen == []


def test_a_healthy_host_stays_so_however_long_the_other_tests_take() -> None:
    host = Host(HEALTHY)
    for _ in range(900):  # the range of ZmbanBanBurst, with one scrape per second
        host.scrape()
    labels = {"jail": "zimbra-smtp", "origin": "log"}
    assert host.value("zmban_bans_total", **labels) < 100


def test_an_empty_table_is_told_for_the_host_that_claims_to_enforce_only(watched: Watched) -> None:
    assert [alert["labels"]["instance"] for alert in alerts(watched.url)["ZmbanTableEmpty"]] == [
        watched.deceived
    ]
    assert [alert["labels"]["instance"] for alert in alerts(watched.url)["ZmbanNotEnforced"]] == [
        watched.troubled
    ]
    assert [alert["labels"]["instance"] for alert in alerts(watched.url)["ZmbanDown"]] == [watched.gone]
