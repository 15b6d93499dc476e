"""The section `arrival`: from the line of somebody new to his route, with bans standing, and of 5,000 in a second."""

from __future__ import annotations

import time

from bench.kernel.figures import Figures, Say, addresses
from bench.kernel.lives import keep
from bench.service import attacked

STANDING = 22_000
BURST = 5_000
_SETTLE = 2.0


def measure(figures: Figures, samples: int, rounds: int, say: Say) -> None:
    """Both, of one service."""
    banned = list(addresses(STANDING))
    with attacked("", lambda state: keep(state, banned)) as (_, attacker):
        attacker.sample(_SETTLE)
        for _ in range(samples):
            figures.add("arrival/one", attacker.sample(0.05))
        say("arrival: one by one done")
        for _ in range(rounds):
            time.sleep(_SETTLE)
            for late in attacker.burst(BURST):
                figures.add("arrival/burst", late)
    say("arrival: bursts done")
