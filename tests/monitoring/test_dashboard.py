"""The Grafana dashboard: Prometheus accepts all its queries, and every panel has a description."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from sidecar.serve.metrics import Metrics
from tests.monitoring.conftest import Watched
from tests.monitoring.hosts import HEALTHY, Host
from tests.monitoring.queries import (
    DASHBOARD,
    dashboard_queries,
    load_dashboard,
    panels,
    run_dashboard_queries,
)

PROVISIONING = Path(__file__).parents[2] / "config/grafana/provisioning"
PANELS = panels(load_dashboard())


def metrics_on_the_dashboard() -> set[str]:
    """The metric families of zmban in a query; the series of a histogram count as the histogram."""
    named = re.findall(r"\bzmban_\w+", " ".join(query for _, query in dashboard_queries(load_dashboard())))
    return {re.sub(r"_bucket$", "", name) for name in named}


def test_prometheus_answers_every_query_of_the_dashboard_with_something(watched: Watched) -> None:
    counts = run_dashboard_queries(watched.url)
    assert len(counts) > 30
    assert not [name for name, series in counts.items() if not series]


def test_the_dashboard_shows_every_metric_of_zmban_and_no_other() -> None:
    served = re.findall(r"^# TYPE (zmban_\w+) ", Host(HEALTHY).scrape().decode(), re.MULTILINE)
    assert metrics_on_the_dashboard() == {name for name in served if not name.endswith("_created")}


def test_the_hosts_of_these_tests_serve_what_zmban_serves() -> None:
    def names(registry: CollectorRegistry) -> set[str]:
        return {one.name for one in registry.collect() if one.name.startswith("zmban_")}

    # The name of an Info metric lacks the suffix of its series.
    told = {name.removesuffix("_info") for name in names(Metrics().registry)}
    assert names(Host(HEALTHY).registry) == told


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_unit_words_and_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 30
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_panels_are_told_apart_by_title_and_number() -> None:
    everything = load_dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_no_panel_covers_another_or_leaves_the_grid() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in load_dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for _, place in places)
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one} covers {other}"


def test_no_query_asks_for_a_label_that_would_hold_an_address_or_a_user() -> None:
    for name, query in dashboard_queries(load_dashboard()):
        assert not re.search(r"\b(ip|address|client|network|user|account)\s*[,)=!]", query), name


def test_grafana_is_told_where_prometheus_and_the_dashboard_are() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/zmban.yml").read_text())["providers"]
    assert Path(provider["options"]["path"]).name == DASHBOARD.parent.name
