"""A new pattern as people see it: its lines, its clients, and the failregex proposed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.detect.grammar import of_log
from sidecar.model import Instant
from sidecar.review.patterns.template import Sample


@dataclass(frozen=True, slots=True)
class MinedPattern:
    """A pattern of hostile lines in the log with the file name `log`, of the grammar `kind`.

    `id` is the same for the same template, in every process. `template` has `*` for what varies. `count` are
    lines. If the log was full of hostile lines, it is an estimate, and `clients` (else exact up to
    1,000) are only those of the lines that were judged. If no `failregex` is proposed, it is empty, and
    `why_not` tells why. `first` and `last` are the times in its lines.
    """

    id: str
    log: str
    kind: str
    template: str
    count: int
    clients: int
    first: Instant | None
    last: Instant | None
    samples: tuple[Sample, ...]
    failregex: str
    why_not: str

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> MinedPattern:
        """The reverse of `record`, but for the times in samples."""
        samples = tuple(Sample(one["line"], one["client"], None) for one in record["samples"])
        names = ("id", "log", "template", "count", "clients", "first", "last")
        return cls(
            **{name: record[name] for name in names}, kind=of_log(record["log"]) or "", samples=samples,
            failregex=record["failregex"] or "", why_not=record["why_not"] or "",
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """The pattern as JSON."""
        return {
            "id": self.id,
            "log": self.log,
            "template": self.template,
            "count": self.count,
            "clients": self.clients,
            "first": self.first,
            "last": self.last,
            "samples": [{"line": one.line, "client": one.client} for one in self.samples],
            "failregex": self.failregex or None,
            "why_not": self.why_not or None,
        }
