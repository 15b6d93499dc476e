"""No line that an attacker can write into a log blames anybody else, and none hides him."""

from __future__ import annotations

import os

import pytest

from tests.blame.forge import FIELDS, forged, samples
from tests.blame.trial import Trial

COUNT = int(os.environ.get("ZMBAN_FORGERIES", "20000"))
SEEDS = range(4)


def test_every_log_and_every_field_of_it_is_forged() -> None:
    import re

    for log, fields in FIELDS.items():
        lines = [sample.line for sample in samples() if sample.log == log]
        for pattern, _ in fields:
            if "open" not in pattern or log == "nginx.log":
                assert any(re.search(pattern, line) for line in lines) or log in ("mailbox.log",), (
                    log,
                    pattern,
                )


@pytest.mark.parametrize("seed", SEEDS)
def test_forged_lines_blame_nobody_else_and_hide_nobody(seed: int) -> None:
    trial = Trial()
    for line in forged(COUNT // len(SEEDS), seed, trial.finds):
        trial.ask(line)
    assert [line for row in trial.rows.values() for line in row.innocent] == []
    lines, found = (sum(getattr(row, what) for row in trial.rows.values()) for what in ("lines", "found"))
    assert found >= 0.99 * lines
