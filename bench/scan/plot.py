"""Draws the plots of docs/benchmarks.md: `python plot.py FIGURES.json FOLDER`, run by a Python that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # installed in a separate venv
from matplotlib.figure import Figure  # type: ignore[import-not-found]

_COLOURS = {
    "zmban": "#c23b22",
    "fail2ban-regex": "#7a7a7a",
    "sshguard": "#9a8c5c",
    "ripgrep": "#3b6ea5",
    "wc -l": "#b8c4ce",
}
# The files must not depend on time or host.
_STABLE = {"svg.hashsalt": "zmban", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}


def main() -> None:
    """Draw both plots."""
    figures = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    with mpl.rc_context(_STABLE):
        if figures["speed"]:
            _save(_speed(figures["speed"]), folder / "benchmarks-scan.svg")
        if figures["growth"]:
            _save(_growth(figures["growth"]), folder / "benchmarks-growth.svg")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _speed(logs: dict[str, dict[str, float]]) -> Any:
    """A panel per log, a bar per program, on a logarithmic scale."""
    figure = Figure(figsize=(9, 1.4 + 0.9 * len(logs)), layout="constrained")
    panels = figure.subplots((len(logs) + 1) // 2, 2, sharex=True, squeeze=False).flat
    for panel, (log, rates) in zip(panels, logs.items(), strict=False):
        names = list(rates)[::-1]
        panel.barh(names, [rates[name] for name in names], color=[_COLOURS[name] for name in names])
        for index, name in enumerate(names):
            panel.text(rates[name] * 1.15, index, f"{rates[name]:,.0f}", va="center", fontsize=8)
        panel.set(title=log, xscale="log", xlim=(1e3, 1e9))
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("lines a second (each line of the scale is ten times the last)")
    return figure


def _growth(curves: dict[str, list[list[float]]]) -> Any:
    """A panel per curve."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    for panel, (name, points) in zip(figure.subplots(2, 2).flat, curves.items(), strict=False):
        x, y = zip(*points, strict=True)
        panel.plot(x, y, marker="o", color=_COLOURS["zmban"])
        panel.set(xlabel=name, xscale="log", ylim=(0, max(y) * 1.1))
        panel.set_ylabel("peak MiB" if name == "attackers" else "seconds")
        if name in ("lines",):
            panel.set(yscale="log", ylim=(min(y) / 2, max(y) * 2))
        if name in ("jails", "logs"):
            panel.set_xscale("log", base=2)
            panel.set_xticks(x, [f"{value:g}" for value in x])
        panel.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
