"""The bars that bans in the kernel are held to, and what was reached."""

from __future__ import annotations

from collections.abc import Iterator

from bench.kernel.figures import SIZES, Figures
from bench.page import Goal, missing

_MIB = 1 << 20
_STARTS = {22_000: 0.5, 300_000: 2.0, 1_000_000: 7.0}
_MEMORY = {22_000: 75, 300_000: 150, 1_000_000: 350}
_SECONDS = "{:.3g} s"


def goals(found: Figures) -> Iterator[Goal]:
    """All bars."""

    def most(what: str, name: str, bar: float, text: str, share: float = 0.5, unit: float = 1) -> Goal:
        value = found.at(name, share)
        said = f"≤ {text.format(bar)}"
        if value is None:
            return missing(what, said)
        return Goal(what, said, text.format(value / unit), value / unit <= bar)

    for size, bar in _STARTS.items():
        yield most(f"process start to {size:,} bans standing", f"lives/{size}/start", bar, _SECONDS)
    yield most(
        "process start to 22,000 bans compared, all routes still standing",
        "lives/22000/start again",
        0.4,
        _SECONDS,
    )
    yield most("routes changed by that", "lives/22000/changes", 0, "{:.0f}", 1.0)
    yield most("stop, 1,000,000 bans", "lives/1000000/stop", 0.2, _SECONDS)
    yield most("stop with flush, 1,000,000 bans", "lives/1000000/flush", 3, _SECONDS)
    yield from (_times(found, size) for size in SIZES)
    yield most("line to route, p50", "arrival/one", 3, "{:.2f} ms")
    yield most("line to route, p99", "arrival/one", 15, "{:.2f} ms", 0.99)
    yield most(
        "5,000 attackers in a second, the last route", "arrival/burst", 1000, "{:.0f} ms after its line", 1.0
    )
    for size, bar in _MEMORY.items():
        yield most(f"memory with {size:,} bans", f"lives/{size}/memory", bar, "{:.0f} MiB", unit=_MIB)
    yield _database(found)
    yield _packets(found)


def _times(found: Figures, size: int) -> Goal:
    what, bar = f"{size:,} bans written at once, against ip -batch", "≥ 3x"
    ours, theirs = (found.get(f"writes/{size}/{name}/all") for name in ("zmban", "ip -batch"))
    if not ours or not theirs:
        return missing(what, bar)
    return Goal(what, bar, f"{theirs / ours:.3g}x", theirs / ours >= 3)


def _database(found: Figures) -> Goal:
    what, bar = "database of 22,000 bans, against Fail2Ban's", "≤ 0.5x"
    ours, theirs = found.get("lives/22000/database"), found.get("fail2ban/22000/database")
    if not ours or not theirs:
        return missing(what, bar)
    return Goal(what, bar, f"{ours / theirs:.2f}x", ours / theirs <= 0.5)


def _packets(found: Figures) -> Goal:
    what, bar = "round trips of who is not banned, IPv4: slowest table against fastest", "≥ 0.95x"
    rates = [rate for size in (0, *SIZES) if (rate := found.get(f"packets/{size}/IPv4"))]
    if len(rates) <= len(SIZES):
        return missing(what, bar)
    ratio = min(rates) / max(rates)
    return Goal(what, bar, f"{ratio:.3g}x", ratio >= 0.95)
