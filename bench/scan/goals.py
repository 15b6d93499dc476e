"""The performance goals of scanning, and the measured values."""

from __future__ import annotations

from bench.page import Goal, missing
from bench.scan.programs import EVERYTHING
from bench.scan.results import Results

_MIB = 1 << 20
# The goal for memory needs a log of this size.
_HUGE = 10_000_000_000


def goals(results: Results) -> list[Goal]:
    """All goals."""
    return [
        _times(results, "zimbra-quiet", "fail2ban-regex", 100),
        _times(results, "zimbra-quiet", "sshguard", 10),
        _times(results, "zimbra-quiet", "ripgrep", 0.8),
        _times(results, "zimbra-attack", "fail2ban-regex", 5),
        _everything(results),
        _jails(results),
        _huge(results),
        _attackers(results),
        *_latencies(results),
        _idle(results),
    ]


def _times(results: Results, log: str, name: str, bar: float) -> Goal:
    what = f"{'quiet zimbra.log' if log == 'zimbra-quiet' else 'all lines hostile'}: lines/s, against {name}"
    ours, theirs = results.program(log, "zmban"), results.program(log, name)
    if ours is None or theirs is None:
        return missing(what, f"≥ {bar:g}x")
    ratio = ours.rate / theirs.rate
    return Goal(what, f"≥ {bar:g}x", f"{ratio:.3g}x", ratio >= bar)


def _everything(results: Results) -> Goal:
    what, bar = "every shipped jail instead of zimbra-smtp on quiet zimbra.log: time", "≤ 1.3x"
    one, every = results.program("zimbra-quiet", "zmban"), results.program("zimbra-quiet", EVERYTHING)
    if one is None or every is None:
        return missing(what, bar)
    ratio = every.seconds / one.seconds
    return Goal(what, bar, f"{ratio:.2f}x", ratio <= 1.3)


def _jails(results: Results) -> Goal:
    curve, what = results.curve("jails"), "64 jails instead of one on a log: time"
    if not {1, 64} <= curve.keys():
        return missing(what, "≤ 2x")
    ratio = curve[64].seconds / curve[1].seconds
    return Goal(what, "≤ 2x", f"{ratio:.2f}x", ratio <= 2)


def _huge(results: Results) -> Goal:
    what, bar = "peak memory over a log of 10 GB", "< 100 MiB"
    if results.huge is None:
        return missing(what, bar)
    peak = max(results.huge.rss) / _MIB
    if results.huge.bytes < _HUGE:
        return Goal(what, bar, f"{peak:.0f} MiB over {results.huge.bytes / 1e9:.1f} GB only", None)
    return Goal(what, bar, f"{peak:.0f} MiB", peak < 100)


def per_attacker(results: Results) -> dict[int, float]:
    """Bytes of memory per attacker in the window, by number of attackers (at least 1,000, because of noise)."""
    curve = results.curve("attackers")
    if 1 not in curve:
        return {}
    least = max(curve[1].rss)
    return {count: (max(runs.rss) - least) / count for count, runs in sorted(curve.items()) if count >= 1_000}


def _attackers(results: Results) -> Goal:
    what, bar = "memory for each of 1,000,000 attackers", "< 300 bytes"
    found = per_attacker(results).get(1_000_000)
    return missing(what, bar) if found is None else Goal(what, bar, f"{found:.0f} bytes", found < 300)


def _latencies(results: Results) -> list[Goal]:
    bars = (
        ("line to route, nothing else happens: p99", 10),
        ("line to route, 10,000 lines/s elsewhere: p99", 50),
    )
    if len(results.latency) < len(bars):
        return [missing(what, f"< {bar} ms") for what, bar in bars]
    found = [one.at(0.99) for one in results.latency]
    return [
        Goal(what, f"< {bar} ms", f"{ms:.2f} ms", ms < bar)
        for (what, bar), ms in zip(bars, found[: len(bars)], strict=True)
    ]


def _idle(results: Results) -> Goal:
    what, bar = "10 quiet logs: share of one core", "< 0.5 %"
    if results.idle is None:
        return missing(what, bar)
    return Goal(what, bar, f"{results.idle.percent:.2f} %", results.idle.percent < 0.5)
