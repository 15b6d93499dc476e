"""Metrics that are computed at each scrape: which logs are followed, and what stands in the ban table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.bans.table import BanTable


class ScrapedValues(Collector):
    """The values of a registry at one moment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._values = list(registry.collect())

    def collect(self) -> Iterable[Metric]:
        """All metric families."""
        return self._values


class SourceStates(Collector):
    """Whether each log is followed. `ask` is called at each scrape: the reason why not by log, or None."""

    def __init__(self) -> None:
        self.ask: Callable[[], Mapping[str, str | None]] = dict

    def collect(self) -> Iterable[Metric]:
        """One metric family with a series for each log."""
        text = "1 if the log is followed, 0 if it is missing or cannot be read"
        family = GaugeMetricFamily("zmban_source_up", text, labels=["source"])
        for source, why in self.ask().items():
            family.add_metric([source], float(why is None))
        yield family


class StandingBans(Collector):
    """The bans of each jail, counted at each scrape; `ask` returns the table."""

    def __init__(self) -> None:
        self.ask: Callable[[], BanTable] = BanTable
        self.jails: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """A series of each jail, also where nothing stands."""
        table = self.ask()
        for name, text, numbers in (
            ("bans_active", "Active bans that are enforced", table.active),
            (
                "bans_suspended",
                "Active bans that are not enforced for now: allowed, protected or ignored",
                table.resting,
            ),
            ("dry_bans_active", "Active dry bans", table.dry),
        ):
            family = GaugeMetricFamily(f"zmban_{name}", text, labels=["jail"])
            for jail in sorted(self.jails | numbers.keys()):
                family.add_metric([jail], numbers[jail])
            yield family
