"""The Grafana dashboards: Grafana's types accept them, Prometheus answers their queries, panels have words."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from sidecar.serve.metrics import Metrics
from tests.monitoring.conftest import Watched
from tests.monitoring.queries import (
    DASHBOARDS,
    dashboard_queries,
    every_query,
    load_dashboard,
    panels,
    run_dashboard_queries,
)

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "config/grafana/provisioning"
OPERATOR, ATTACK = (
    load_dashboard(ROOT / f"config/grafana/dashboards/{n}.json") for n in ("zmban", "zmban-attack")
)
PANELS = [(path.stem, panel) for path in DASHBOARDS for panel in panels(load_dashboard(path))]
TYPES = json.loads(Path(__file__).with_name("grafana-schema.json").read_text())["definitions"]
# The published types leave these to the data source.
OF_THE_SOURCE = {"target", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}
# Nothing happened on the hosts of these tests.
EMPTY = {f"annotation {name}" for name in ("Restarts", "Reloads", "Bans of networks")}
VARIABLES = ["datasource", "cluster", "namespace", "node", "job", "instance", "jail", "runbook", "page"]


def metrics_in(dashboards: list[dict[str, Any]]) -> set[str]:
    """The metric families of zmban in a query; the series of a histogram count as the histogram."""
    queries = " ".join(query for one in dashboards for _, query in dashboard_queries(one))
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bzmban_\w+", queries)}


def faults(kind: str, found: Any) -> list[str]:
    """What Grafana's type does not allow."""
    errors = Draft7Validator(TYPES[kind]).iter_errors(found)
    return [f"{list(error.absolute_path)}: {error.message}" for error in errors]


def test_prometheus_answers_every_query_of_the_dashboards_with_something(watched: Watched) -> None:
    counts = run_dashboard_queries(watched.url)
    assert len(counts) > 100
    assert [n for n, series in counts.items() if not series and n.partition(": ")[2] not in EMPTY] == []


def test_the_dashboard_of_operators_shows_every_metric_of_zmban_and_no_other() -> None:
    metrics = Metrics()
    served = {f"{m.name}_total" if m.type == "counter" else m.name for m in metrics.registry.collect()}
    ours = {name for name in served if name.startswith("zmban_")}
    assert metrics_in([OPERATOR]) == ours
    assert metrics_in([ATTACK]) <= ours


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_of_the_type_that_grafana_publishes(path: Path) -> None:
    dashboard = load_dashboard(path)
    for annotation in dashboard["annotations"]["list"]:
        for key in OF_THE_SOURCE & annotation.keys():
            del annotation[key]
    # Panels are checked one by one, since an error in a union of types names no place.
    assert faults("dashboard", dashboard | {"panels": []}) == []
    for row in (panel for panel in dashboard["panels"] if panel["type"] == "row"):
        assert faults("row", row | {"panels": []}) == []


@pytest.mark.parametrize(
    ("dashboard", "panel"), PANELS, ids=lambda one: one["title"] if isinstance(one, dict) else one
)
def test_a_panel_and_its_options_are_of_the_types_that_grafana_publishes(
    dashboard: str, panel: dict[str, Any]
) -> None:
    assert faults("panel", panel) == []
    assert faults(panel["type"], panel["options"]) == []
    custom = panel["fieldConfig"]["defaults"].get("custom")
    if custom is not None:
        kinds = {"timeseries": "timeseriesField", "table": "tableField", "heatmap": "heatmapField"}
        assert faults(kinds[panel["type"]], custom) == []


def test_the_types_refuse_what_grafana_does_not_know() -> None:
    (_, panel), *_ = PANELS
    assert faults("panel", panel | {"titel": "x"}) and faults("stat", {"colorMode": "loud"})


@pytest.mark.parametrize(
    ("dashboard", "panel"), PANELS, ids=lambda one: one["title"] if isinstance(one, dict) else one
)
def test_a_panel_has_a_unit_words_and_the_chosen_data_source(dashboard: str, panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 30
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_are_told_apart_by_title_and_number_and_none_covers_another(path: Path) -> None:
    dashboard = load_dashboard(path)
    shown = panels(dashboard)
    every = [*shown, *(panel for panel in dashboard["panels"] if panel["type"] == "row")]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in shown}) == len(shown)
    for together in (dashboard["panels"], *(row["panels"] for row in dashboard["panels"] if "panels" in row)):
        places = [(panel["title"], panel["gridPos"]) for panel in together]
        assert all(place["x"] + place["w"] <= 24 for _, place in places)
        for (one, a), (other, b) in combinations(places, 2):
            apart = (
                a["x"] + a["w"] <= b["x"]
                or b["x"] + b["w"] <= a["x"]
                or a["y"] + a["h"] <= b["y"]
                or b["y"] + b["h"] <= a["y"]
            )
            assert apart, f"{one} covers {other}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_chosen_by_its_variables_and_only_the_first_row_is_open(path: Path) -> None:
    dashboard = load_dashboard(path)
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == VARIABLES
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    assert [row["collapsed"] for row in rows] == [False, *[True] * (len(rows) - 1)]
    assert all(bool(row["panels"]) == row["collapsed"] for row in rows)
    assert {"Alerts", "Runbook", "Page"} <= {link["title"] for link in dashboard["links"]}
    notes = [note["name"] for note in dashboard["annotations"]["list"] if not note.get("builtIn")]
    assert notes == ["Restarts", "Reloads", "Bans of networks"]


def test_no_query_asks_for_a_label_that_would_hold_an_address_or_a_user() -> None:
    for name, query in every_query():
        assert not re.search(r"\b(ip|address|client|network|user|account)\s*[,)=!]", query), name


def test_grafana_is_told_where_prometheus_and_the_dashboards_are() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/zmban.yml").read_text())["providers"]
    assert Path(provider["options"]["path"]).name == DASHBOARDS[0].parent.name
