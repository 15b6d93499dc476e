"""Runs all queries of the Grafana dashboards on Prometheus, with variables filled in as by Grafana."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parents[2] / "config/grafana/dashboards"
DASHBOARDS = sorted(PLACE.glob("*.json"))
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$cluster": ".*",
    "$namespace": ".*",
    "$node": ".*",
    "$job": "zmban",
    "$instance": ".*",
    "$jail": ".*",
}


def load_dashboard(path: Path) -> dict[str, Any]:
    """The JSON model of a dashboard."""
    dashboard: dict[str, Any] = json.loads(path.read_text())
    return dashboard


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels without rows, also those in collapsed rows."""
    every = [one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", ()))]
    return [panel for panel in every if panel["type"] != "row"]


def dashboard_queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every PromQL expression by its panel and name, variables by the query that fills them, and annotations."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, f"variable {variable['name']}: only label_values(metric, label) is understood here"
            yield f"variable {variable['name']}", f"count by ({found[2]}) ({found[1]})"
    for annotation in dashboard["annotations"]["list"]:
        if not annotation.get("builtIn"):
            yield f"annotation {annotation['name']}", annotation["target"]["expr"]
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


def every_query() -> Iterator[tuple[str, str]]:
    """The queries of all dashboards."""
    for path in DASHBOARDS:
        for name, query in dashboard_queries(load_dashboard(path)):
            yield f"{path.stem}: {name}", query


def filled(expression: str) -> str:
    """The expression as sent by Grafana, with all values selected."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable that Grafana would not fill in: {expression}"
    return expression


def ask(prometheus_url: str, path: str, **parameters: str) -> Any:
    """`data` of an answer of Prometheus's HTTP API; AssertionError with the message of an error."""
    url = f"{prometheus_url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise AssertionError(f"{parameters}: {refusal.read().decode()}") from None


def run_dashboard_queries(prometheus_url: str) -> dict[str, int]:
    """The number of series of each query of the dashboards; Prometheus must accept all of them."""
    return {
        name: len(ask(prometheus_url, "query", query=filled(expression))["result"])
        for name, expression in every_query()
    }
