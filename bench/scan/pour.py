"""Appends lines to a log at a constant rate until it is stopped: `python -m bench.scan.pour LOG RATE`."""

from __future__ import annotations

import random
import sys
import time
from datetime import datetime
from itertools import count
from pathlib import Path

from bench.scan import zimbra
from bench.scan.generate import address

_PAUSE = 0.005
_POOL = 20_000


def main() -> None:
    """Write a few lines every 5 ms; two in a thousand are hits of a new attacker."""
    path, rate = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(7)
    pool = [zimbra.quiet(chance) for _ in range(_POOL)]
    begun, written, number = time.monotonic(), 0, count()
    with path.open("ab", buffering=0) as file:
        while True:
            due = int((time.monotonic() - begun) * rate) - written
            if due:
                records = chance.choices(pool, k=due)
                for index in range(due):
                    if chance.random() < zimbra.QUIET.share:
                        records[index] = zimbra.hostile(chance, address(next(number)))
                stamp = zimbra.stamp(datetime.now().astimezone())
                file.write((stamp + ("\n" + stamp).join(records) + "\n").encode())
                written += due
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
