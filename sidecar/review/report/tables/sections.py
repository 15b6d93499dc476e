"""The report as titled tables, which the text and the page both show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.review.report.tables import decision_tables, mail_tables
from sidecar.review.report.tables.decision_tables import Moment
from sidecar.review.report.tables.section import Section, table


def sections(report: Mapping[str, Any], moment: Moment) -> Iterator[Section]:
    """All sections that have something to say. `moment` writes a time (None: for ever)."""
    yield mail_tables.totals(report)
    yield from (one for one in decision_tables.attention(report) if not one.empty)
    yield from (one for one in decision_tables.decided(report, moment) if not one.empty)
    yield from decision_tables.patterns(report)
    yield from (one for one in mail_tables.tables(report) if not one.empty)
    if report["incomplete"]:
        yield table(
            "Events that the tables do not show",
            report["incomplete"].items(),
            {"Table": lambda one: one[0], "#Events": lambda one: one[1]},
            "There were too many different entries; the totals hold them.",
        )
    if report["sources"] or report["faults"]:
        note = " ".join(report["faults"])
        yield table("Logs", report["sources"], {"Log": "source", "#Lines": "lines"}, note)
