"""`bantime.increment` and its family: how a ban time grows with each ban of the same address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sidecar.fail2ban.options import Options
from sidecar.fail2ban.syntax.arithmetic import evaluate
from sidecar.model import LONGEST, Seconds

_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Increment:
    """`rndtime` seconds at most are added by chance, after `maxtime`. `formula` and `multipliers` as in the
    jail; without both the time doubles with each ban."""

    factor: float = 1.0
    formula: str | None = None
    multipliers: tuple[float, ...] = ()
    maxtime: Seconds | None = None
    rndtime: Seconds = 0.0
    overalljails: bool = False

    def seconds(self, bantime: Seconds, count: int, chance: float) -> Seconds:
        """The time of a ban after `count` earlier ones; `chance` in [0, 1) is what luck says.

        A formula never shortens the time; where it gives no number, for it grows past all of them or divides
        by zero, the time doubles with each ban. Never more than LONGEST.
        """
        if count <= 0:
            return bantime
        try:
            grown = self._grown(bantime, count)
        except ValueError:
            grown = self._doubled(bantime, count)
        grown = min(max(bantime, grown), LONGEST if self.maxtime is None else self.maxtime)
        return min(float(round(grown)) + chance * self.rndtime, LONGEST)

    def check(self) -> None:
        """ValueError where the formula gives no number for a third ban."""
        self._grown(600.0, 3)

    def _grown(self, bantime: Seconds, count: int) -> float:
        if self.multipliers:
            return bantime * self.factor * self.multipliers[min(count, len(self.multipliers) - 1)]
        if self.formula is None:
            return self._doubled(bantime, count)
        names = {"ban.Time": bantime, "ban.Count": count, "banFactor": self.factor}
        return evaluate(self.formula, names, functions=True)

    def _doubled(self, bantime: Seconds, count: int) -> float:
        return bantime * float(1 << min(count, _MOST_DOUBLINGS)) * self.factor


def weight(count: int, maxretry: int) -> int:
    """For how many failures one of an address counts that was banned `count` times before."""
    return 1 if count <= 0 else min((1 << min(count, _MOST_DOUBLINGS)) // 2 + 1, maxretry)


def read(options: Options) -> Increment | None:
    """A jail's `bantime.increment` and what belongs to it; None where it has none."""
    if not options.boolean("bantime.increment"):
        return None
    factor = options.read("bantime.factor", "1", _factor)
    return Increment(
        factor=factor,
        formula=options.read("bantime.formula", "", partial(_formula, factor)),
        multipliers=options.read("bantime.multipliers", "", _multipliers),
        maxtime=_maxtime(options),
        rndtime=options.seconds("bantime.rndtime", "0", _rndtime),
        overalljails=options.boolean("bantime.overalljails"),
    )


def _factor(text: str) -> float:
    with _named("bantime.factor"):
        return evaluate(text or "1", functions=True)


def _formula(factor: float, text: str) -> str | None:
    with _named("bantime.formula"):
        Increment(factor, formula=text or None).check()
    return text or None


def _multipliers(text: str) -> tuple[float, ...]:
    with _named("bantime.multipliers"):
        return tuple(evaluate(word) for word in text.split())


@contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}: {error}; write it as in Fail2Ban's manual, or leave it out") from error


def _maxtime(options: Options) -> Seconds | None:
    if not options.text("bantime.maxtime"):
        return None
    longest = options.seconds("bantime.maxtime", "-1", _maxtime_wrong, endless=True)
    return None if longest == -1 else longest


def _maxtime_wrong(longest: Seconds) -> str:
    return "never bans; leave it out for no bound" if longest <= 0 and longest != -1 else ""


def _rndtime(most: Seconds) -> str:
    return "would shorten bans; write 0 or more" if most < 0 else ""
