"""A resolved filter: its compiled regexes and options, as frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled regex, with its original text, file and line."""

    text: str
    regex: re.Pattern[str]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A resolved filter. `grammar` names the grammar of the log, which then determines the client.

    `usedns`: `no` (addresses only), `yes` and `warn` (host names are resolved), `raw` (the text is the host).
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
        """Whether a match may yield a host name instead of an address."""
        return self.usedns in ("yes", "warn")

    @property
    def meaning(self) -> FilterSpec:
        """This filter without file and line numbers, to compare two filters by what they match."""

        def bare(pattern: Pattern) -> Pattern:
            return replace(pattern, file="", line=0)

        return replace(
            self,
            failregex=tuple(map(bare, self.failregex)),
            ignoreregex=tuple(map(bare, self.ignoreregex)),
            prefregex=self.prefregex and bare(self.prefregex),
        )
