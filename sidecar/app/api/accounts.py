"""Finds the accounts that log lines name, as the grammar of their log reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC

from sidecar.detect import grammar
from sidecar.detect.grammar import Trust
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.jails import JailSpec


def accounts_in(lines: Iterable[str], jail: JailSpec | None) -> Iterator[str]:
    """The account of each line that names one. `jail` names the logs that the lines may be from; None: any
    log."""
    logs = [jail.log or log.glob for log in jail.logpath] if jail else list(grammar.LOGS)
    reads = [read for log in logs if (read := grammar.chosen(None, log)) is not None]
    dates, trust = LineDates(UTC, jail.filter.datepattern if jail else ()), Trust(())
    for line in (part for text in lines for part in text.splitlines()):
        dateless = dates.of(line, 0.0)[1]
        facts = (read(dateless, trust) for read in reads)
        if account := next((found.account for found in facts if found is not None and found.account), ""):
            yield account
