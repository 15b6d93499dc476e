"""The `zmban.` options of a jail; Fail2Ban ignores them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeAlias

from sidecar.fail2ban.jail_options import Options
from sidecar.fail2ban.syntax.durations import seconds
from sidecar.model import LONGEST, Seconds

Count: TypeAlias = Literal["lines", "logins"]
# What a jail shares with the other hosts of a cluster: failures and bans, bans, nothing.
Shared: TypeAlias = Literal["counts", "bans", "no"]
# Fields of a line whose distinct values can be counted.
_DISTINCT = ("user", "recipient", "sender")
KEYS = {
    "zmban.confirms", "zmban.count", "zmban.distinct", "zmban.dry_run", "zmban.excused_by",
    "zmban.ipv4_prefix", "zmban.ipv6_prefix", "zmban.log", "zmban.most_addresses", "zmban.report_only",
    "zmban.shared", "zmban.spare_good", "zmban.spare_peers", "zmban.widen",
}  # fmt: skip
_WIDEN = re.compile(r"(\d{1,3}):(\d{1,9}):(\S{1,200})", re.ASCII)
_MOST_UNITS = 10_000


class WidenRule(NamedTuple):
    """Ban a prefix of this length if so many of its units are banned within so many seconds. `time` is how
    the file writes these."""

    prefix: int
    units: int
    seconds: Seconds
    time: str

    @property
    def version(self) -> int:
        """4 or 6: the lengths of the two versions do not overlap."""
        return 4 if self.prefix < 32 else 6


def read(options: Options) -> dict[str, Any]:
    """The JailSpec fields set by these options. An option that prevents bans counts as true if its value is
    invalid (`safe`): a typing error must not cause bans of years."""
    prefixes = {
        "ipv4_prefix": options.whole("zmban.ipv4_prefix", 32, 8, 32),
        "ipv6_prefix": options.whole("zmban.ipv6_prefix", 64, 16, 128),
    }
    return {
        **prefixes,
        "dry_run": options.boolean("zmban.dry_run", safe=True),
        "confirms": options.boolean("zmban.confirms"),
        "report_only": options.boolean("zmban.report_only", safe=True),
        "most_addresses": options.whole("zmban.most_addresses", 0, 0, 1_000_000),
        "spare_good": options.boolean("zmban.spare_good", safe=True),
        "spare_peers": options.boolean("zmban.spare_peers", safe=True),
        "count": options.one_of("zmban.count", "lines", ("lines", "logins")),
        "excused_by": options.text("zmban.excused_by"),
        "log": options.text("zmban.log"),
        "shared": options.one_of("zmban.shared", "counts", ("counts", "bans", "no")),
        "distinct": options.one_of("zmban.distinct", "", _DISTINCT),
        "widen": tuple(dict.fromkeys(_widen(options, *prefixes.values()))),
    }


def _widen(options: Options, ipv4_prefix: int, ipv6_prefix: int) -> Iterator[WidenRule]:
    """The valid entries of `zmban.widen`; each other one is a fault."""
    for entry in options.text("zmban.widen").replace(",", " ").split():
        try:
            yield _rule(entry, ipv4_prefix, ipv6_prefix)
        except ValueError as error:
            text = f"zmban.widen: {entry[:60]!r}: {error}"
            options.fault("zmban.widen", f"{text}; write PREFIX:UNITS:TIME, such as 24:5:7d")
            if entry.startswith("#"):
                # The words behind it are a comment.
                return


def _rule(entry: str, ipv4_prefix: int, ipv6_prefix: int) -> WidenRule:
    """One entry of `zmban.widen`. ValueError says what is wrong with it."""
    if entry.startswith("#"):
        raise ValueError("a comment after a value starts with ' ;', not ' #'")
    found = _WIDEN.fullmatch(entry)
    if found is None:
        raise ValueError("is not a prefix length, a number of units and a time")
    prefix, units, time = int(found[1]), int(found[2]), found[3]
    if not (16 <= prefix <= 30 or 32 <= prefix <= 63):
        raise ValueError("a prefix length is 16 to 30 (IPv4) or 32 to 63 (IPv6)")
    unit = ipv4_prefix if prefix < 32 else ipv6_prefix
    if prefix >= unit:
        raise ValueError(f"a /{prefix} is not wider than the /{unit} that the jail bans anyway")
    most = min(_MOST_UNITS, 1 << (32 if prefix < 32 else 64) - prefix)
    if not 2 <= units <= most:
        raise ValueError(f"the number of units of a /{prefix} is 2 to {most}")
    long = seconds(time)
    if not 0 < long <= LONGEST:
        raise ValueError("the time is longer than 0 and up to 100 years")
    return WidenRule(prefix, units, long, time)


def unknown(key: str) -> tuple[str, bool]:
    """The message for an unknown `zmban.` option, and whether it probably was meant to prevent bans."""
    near = next(iter(get_close_matches(key, sorted(KEYS), 1, 0.8)), None)
    cure = f"did you mean {near}?" if near else f"known are: {', '.join(sorted(KEYS))}"
    return f"{key} is not a jail option; {cure}", near in ("zmban.dry_run", "zmban.report_only")
