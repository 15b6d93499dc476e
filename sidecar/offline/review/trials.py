"""What the proposed failregexes would have done with the logs, kept so that it is found out once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sidecar.model import Instant, Seconds, SourceError
from sidecar.offline.review.log_tally import Readers
from sidecar.offline.review.trial import tried
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.sources import kept_files

# Patterns that are shown.
MOST = 20
KIND = "trials"
_AGAIN: Seconds = 3600.0
_PATIENCE: Seconds = 60.0
_LAST_DAYS: Seconds = 3 * 86400.0


def files_of(logs: Iterable[tuple[str, str]], now: Instant) -> dict[str, str]:
    """The files of logs (path and name of the grammar's log) of the last days, each with that name."""
    files, _ = kept_files.files_of(logs)
    return {file.path: file.log for file in files if file.changed > now - _LAST_DAYS}


def kept(
    patterns: Sequence[MinedPattern],
    before: Mapping[str, Any],
    files: Mapping[str, str],
    readers: Readers,
    now: Instant,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records of patterns, each with `trial`: null without a failregex; and the results to keep, by
    pattern, empty if there is no new one. `before` are those of earlier trials."""
    wanted = [one for one in patterns if one.failregex and not _is_fresh(before.get(one.id), one, now)]
    found: dict[str, Any] = {}
    if wanted and files:
        # A file that was rotated meanwhile is tried the next time.
        with suppress(SourceError):
            named = {path: log.rpartition("/")[2] for path, log in files.items()}
            trials = tried(wanted, named, readers.zone, readers.trust, now, seconds=_PATIENCE)
            found = {name: {"at": now, **result.record()} for name, result in trials.items()}
    results = {**before, **found}
    shown = [{**one.record(), "trial": results.get(one.id) if one.failregex else None} for one in patterns]
    by_regex = {one.id: one.failregex for one in patterns}
    for name, result in found.items():
        result["failregex"] = by_regex[name]
    # What a person can adopt comes first.
    shown.sort(key=lambda one: one["failregex"] is None)
    ids = {one.id for one in patterns}
    return shown, {name: result for name, result in results.items() if name in ids} if found else {}


def _is_fresh(result: Any, pattern: MinedPattern, now: Instant) -> bool:
    return (
        isinstance(result, dict)
        and result.get("failregex") == pattern.failregex
        and now - _AGAIN < float(result.get("at", 0)) <= now
    )
