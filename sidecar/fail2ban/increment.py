"""`bantime.increment` and related options: how the ban time grows with each ban of the same address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sidecar.fail2ban.jail_options import Options
from sidecar.fail2ban.syntax.arithmetic import evaluate
from sidecar.model import LONGEST, Seconds

_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Increment:
    """The `bantime.*` options of a jail. Without `formula` and `multipliers` the time doubles with each ban.
    Up to `rndtime` random seconds are added after `maxtime` is applied."""

    factor: float = 1.0
    formula: str | None = None
    multipliers: tuple[float, ...] = ()
    maxtime: Seconds | None = None
    rndtime: Seconds = 0.0
    overalljails: bool = False

    def seconds(self, bantime: Seconds, count: int, chance: float) -> Seconds:
        """The ban time in seconds after `count` earlier bans; `chance` is a random number in [0, 1).

        A formula never shortens the time. If it fails (overflow, division by zero), the time doubles with
        each ban instead. At most LONGEST.
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
        """Raises ValueError if the formula cannot be calculated for three earlier bans."""
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
    """How many failures one failure of an address counts for after `count` earlier bans."""
    return 1 if count <= 0 else min((1 << min(count, _MOST_DOUBLINGS)) // 2 + 1, maxretry)


def read(options: Options) -> Increment | None:
    """The `bantime.*` options of a jail; None if `bantime.increment` is off."""
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
    with _fault_of("bantime.factor"):
        return evaluate(text or "1", functions=True)


def _formula(factor: float, text: str) -> str | None:
    with _fault_of("bantime.formula"):
        Increment(factor, formula=text or None).check()
    return text or None


def _multipliers(text: str) -> tuple[float, ...]:
    with _fault_of("bantime.multipliers"):
        return tuple(evaluate(word) for word in text.split())


@contextmanager
def _fault_of(key: str) -> Iterator[None]:
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
    return "never bans; leave it out for no limit" if longest <= 0 and longest != -1 else ""


def _rndtime(most: Seconds) -> str:
    return "would shorten bans; write 0 or more" if most < 0 else ""
