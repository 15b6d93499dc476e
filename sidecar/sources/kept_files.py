"""Finds the files that logs have: the current one, and those that were rotated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from sidecar.sources.files.rotation import listing
from sidecar.sources.kinds import file_path


class LogFile(NamedTuple):
    """A file of the log `name`. `log` is the name that selects the grammar, `changed` when it was written
    last."""

    path: str
    log: str
    changed: float
    name: str = ""


def files_of(logs: Iterable[tuple[str, str]]) -> tuple[list[LogFile], list[str]]:
    """The files of logs (path and name of the grammar's log), with the rotated ones, the newest first; and
    why a directory could not be read."""
    found: dict[tuple[int, int], LogFile] = {}
    unread = []
    for name, log in logs:
        path = file_path(name)
        try:
            listed = listing(path)
            if listed.current is not None:
                found[listed.current] = LogFile(path, log, os.stat(path).st_mtime, name)
        except OSError as error:
            unread.append(f"{path}: {error.strerror or error}")
            continue
        for one in listed.others:
            if one.rotated:
                found.setdefault(one.key, LogFile(one.path, log, one.changed / 1e9, name))
    return sorted(found.values(), key=lambda file: -file.changed), unread
