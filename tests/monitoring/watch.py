"""Prometheus in a network namespace, with the shipped rules in seconds instead of minutes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.app.running import LISTEN, until
from tests.monitoring.conftest import CONFIG, program
from tests.monitoring.queries import ask

RULES = CONFIG.parent / "rules/zmban.yml"
URL = "http://127.0.0.1:9090"
# Every duration in an expression of the rules. `for` is a second throughout.
_QUICK = {
    "1m": "2s", "2m": "2s", "5m": "3s", "10m": "3s", "15m": "4s", "30m": "30s", "1h": "8s", "1d": "20s",
    "3600": "6", "86400": "10",
}  # fmt: skip
_SIGNS = ("<error", "<no value>", "{{", "%!")


def quick_expression(expression: str) -> str:
    """An expression with short durations. KeyError for one that is not in the table."""
    short = re.sub(r"(?<=[\[ ])\d+[smhd]\b", lambda found: _QUICK[found[0]], expression)
    # A scrape takes no longer than half a second: a process that is late by more is not scraped at all.
    short = re.sub(r"(event_loop_lag_seconds_bucket.*> )0\.5", r"\g<1>0.1", short)
    return re.sub(r"\b(3600|86400)\b", lambda found: _QUICK[found[0]], short)


def quick_rules() -> dict[str, Any]:
    """The shipped rules with short durations, everything else as it is."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["expr"] = quick_expression(rule["expr"])
        if "alert" in rule:
            rule["for"] = "1s"
    return rules


class Watch:
    """A running Prometheus; it scrapes and evaluates twice a second."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.seen: set[str] = set()

    def write(self) -> None:
        """Write its files."""
        (self._place / "rules.yml").write_text(yaml.safe_dump(quick_rules()))
        configuration = yaml.safe_load(CONFIG.read_text())
        configuration["global"] = {
            "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms",
        }  # fmt: skip
        configuration["rule_files"] = ["rules.yml"]
        (job,) = configuration["scrape_configs"]
        del job["static_configs"]
        job["file_sd_configs"] = [{"files": ["targets.json"]}]
        (self._place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.target(LISTEN)

    def target(self, *hosts: str) -> None:
        """Scrape these from now on."""
        new = self._place / "new.json"
        new.write_text(json.dumps([{"targets": hosts}]))
        new.replace(self._place / "targets.json")

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """The firing alerts by rule."""
        rules = (rule for group in ask(URL, "rules")["groups"] for rule in group["rules"] if "alerts" in rule)
        found = {rule["name"]: [a for a in rule["alerts"] if a["state"] == "firing"] for rule in rules}
        return {name: instances for name, instances in found.items() if instances}

    def fire(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until these alerts fire, and check that their texts are filled in."""
        missing: set[str] = {*names}

        def all_of_them() -> bool:
            for name, instances in self.firing().items():
                missing.discard(name)
                for text in (text for one in instances for text in one["annotations"].values()):
                    assert not any(sign in text for sign in _SIGNS), f"{name}: {text}"
            return not missing

        try:
            until(all_of_them, seconds)
        except AssertionError:
            raise AssertionError(f"do not fire: {sorted(missing)}; but {sorted(self.firing())}") from None
        self.seen |= {*names}

    def rest(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until none of these alerts fires, without names: no alert at all."""

        def still() -> set[str]:
            firing = self.firing().keys()
            return firing & {*names} if names else {*firing}

        try:
            until(lambda: not still(), seconds)
        except AssertionError:
            raise AssertionError(f"still fire: {sorted(still())}") from None


@contextmanager
def watching(place: Path) -> Iterator[Watch]:
    """Run Prometheus in the network namespace of this thread."""
    watch = Watch(place)
    watch.write()
    command = [
        program("prometheus"),
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address={URL.removeprefix('http://')}",
        "--query.lookback-delta=3s",
        "--log.level=warn",
    ]
    with (place / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: _answers(process, place / "log"), 30)
            yield watch
        finally:
            process.kill()


def _answers(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(ask(URL, "rules")["groups"])
    except (OSError, AssertionError):
        return False


def alert_names(rules: Iterable[dict[str, Any]]) -> set[str]:
    """The names of the alerts among these rules."""
    return {rule["alert"] for rule in rules if "alert" in rule}
