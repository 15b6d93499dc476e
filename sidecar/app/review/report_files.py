"""The reports of the last days as files: a page to read, and the record that `--adopt` refers to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sidecar.local_time import moment
from sidecar.model import StoreError
from sidecar.review.report import html_report
from sidecar.whole_file import whole_file

_KEPT = 62


class ReportFiles:
    """`DAY.html` and `DAY.json` in a directory. All methods block on the disk; StoreError if it fails."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def page(self, day: str) -> Path:
        """The path of the page of a day."""
        return self.directory / f"{day}.html"

    def write(self, report: dict[str, Any]) -> None:
        """Keep a report, instead of an earlier one of its day."""
        day = str(report["report"])
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(self.directory / f"{day}.json", json.dumps(report))
            _write(self.page(day), "".join(html_report.rendered(report, moment)))
            for suffix in ("json", "html"):
                for old in sorted(self.directory.glob(f"[0-9]*.{suffix}"))[:-_KEPT]:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.directory}: {error.strerror or error}") from None

    def read(self, day: str) -> dict[str, Any] | None:
        """The record of a day that was built before; None if there is none."""
        try:
            read = json.loads((self.directory / f"{day}.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.directory / day}.json: {error}") from None
        return read if isinstance(read, dict) else None

    def days(self) -> list[str]:
        """The days with a report, newest first."""
        return sorted((path.stem for path in self.directory.glob("[0-9]*.json")), reverse=True)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
