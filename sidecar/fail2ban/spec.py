"""What a filter looks for, resolved: frozen values, ready to run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regex as the administrator wrote it, ready to run, and where it stands."""

    text: str
    regex: re.Pattern[str]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """What a filter looks for. `grammar` names the log's grammar, which then says who is to blame.

    `usedns`: `no` (addresses only), `yes` and `warn` (names are looked up), `raw` (the text is the host).
    `maxlines` lines are matched together.
    """

    name: str
    failregex: tuple[Pattern, ...]
    ignoreregex: tuple[Pattern, ...] = ()
    prefregex: Pattern | None = None
    datepattern: tuple[str, ...] = ()
    grammar: str | None = None
    usedns: str = "warn"
    maxlines: int = 1
    journalmatch: tuple[str, ...] = ()

    @property
    def names(self) -> bool:
        """Whether a match may blame a host name instead of an address."""
        return self.usedns in ("yes", "warn")

    @property
    def meaning(self) -> FilterSpec:
        """The same without the places in files, which change with every comment above."""

        def bare(pattern: Pattern) -> Pattern:
            return replace(pattern, file="", line=0)

        return replace(
            self,
            failregex=tuple(map(bare, self.failregex)),
            ignoreregex=tuple(map(bare, self.ignoreregex)),
            prefregex=self.prefregex and bare(self.prefregex),
        )
