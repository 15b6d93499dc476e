"""Appends lines to a log at a constant rate until it is stopped: `python -m bench.scan.pour LOG RATE [ATTACKERS]`.

Two lines in a thousand are hits, each of a new attacker; with ATTACKERS, every line is a hit of one of so many.
"""

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
    """Write a few lines every 5 ms."""
    path, rate = Path(sys.argv[1]), int(sys.argv[2])
    attackers = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    share = 1.0 if attackers else zimbra.QUIET.share
    chance = random.Random(7)
    pool = [zimbra.quiet(chance) for _ in range(_POOL)]
    begun, written, number = time.monotonic(), 0, count()
    with path.open("ab", buffering=0) as file:
        while True:
            due = int((time.monotonic() - begun) * rate) - written
            if due:
                records = chance.choices(pool, k=due)
                for index in range(due):
                    if chance.random() < share:
                        one = chance.randrange(attackers) if attackers else next(number)
                        records[index] = zimbra.hostile(chance, address(one))
                stamp = zimbra.stamp(datetime.now().astimezone())
                file.write((stamp + ("\n" + stamp).join(records) + "\n").encode())
                written += due
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
