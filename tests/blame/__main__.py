"""Tests every shipped filter with a million forged lines: `make test-blame`, or `python -m tests.blame LINES`."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from tests.blame.forge import forged
from tests.blame.trial import Row, Trial, table

LINES = 1_000_000
_SEEDS = 8


def rows(seed: int, lines: int) -> dict[str, Row]:
    """The result of a number of forged lines with this seed."""
    trial = Trial()
    for line in forged(lines, seed, trial.finds):
        trial.ask(line)
    return dict(trial.rows)


def main() -> int:
    """Print the table. Returns 1 if an innocent client was blamed, or more than 1 % of the attackers were missed."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    whole: dict[str, Row] = {}
    with ProcessPoolExecutor() as pool:
        for part in pool.map(rows, range(_SEEDS), [lines // _SEEDS] * _SEEDS):
            for name, row in part.items():
                whole.setdefault(name, Row()).add(row)
    innocent = [line for row in whole.values() for line in row.innocent]
    asked, found = (sum(getattr(row, what) for row in whole.values()) for what in ("lines", "found"))
    sys.stdout.write(
        f"{table(whole)}\n{lines:,} forged lines, {asked:,} of attackers, {found / asked:.3%} found, "
    )
    sys.stdout.write(f"{len(innocent)} that blame an innocent client\n" + "\n".join(innocent[:10]))
    return 0 if not innocent and found >= 0.99 * asked else 1


if __name__ == "__main__":
    sys.exit(main())
