"""No log line that an attacker can forge blames another client, and none hides the attacker."""

from __future__ import annotations

import os
import re

import pytest

from tests.blame.forge import FIELDS, forged, samples
from tests.blame.trial import Trial

COUNT = int(os.environ.get("ZMBAN_FORGERIES", "20000"))
SEEDS = range(4)


def test_every_log_has_samples_and_every_field_one_that_carries_it() -> None:
    logs = [(log, pattern) for log, fields in FIELDS.items() for pattern, _ in fields]
    carried = {
        (s.log, pattern)
        for s in samples()
        for log, pattern in logs
        if log == s.log and re.search(pattern, s.line)
    }
    assert {log for log, _ in carried} == set(FIELDS)
    assert {pattern for _, pattern in carried} == {pattern for _, pattern in logs}


@pytest.mark.parametrize("seed", SEEDS)
def test_forged_lines_blame_nobody_else_and_hide_nobody(seed: int) -> None:
    trial = Trial()
    for line in forged(COUNT // len(SEEDS), seed, trial.finds):
        trial.ask(line)
    assert [line for row in trial.rows.values() for line in row.innocent] == []
    lines, found = (sum(getattr(row, what) for row in trial.rows.values()) for what in ("lines", "found"))
    assert found >= 0.99 * lines
