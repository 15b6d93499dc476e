"""The options of a jail that are zmban's own: `zmban.` in front, so that Fail2Ban passes them over."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from sidecar.fail2ban.options import Options

Count: TypeAlias = Literal["lines", "logins"]
# What distinct values may be counted of: what the grammar of a log tells of a line.
_DISTINCT = ("user", "recipient", "sender")
KEYS = {
    "zmban.confirms", "zmban.count", "zmban.distinct", "zmban.dry_run", "zmban.excused_by",
    "zmban.ipv4_prefix", "zmban.ipv6_prefix", "zmban.most_addresses", "zmban.report_only",
    "zmban.spare_good", "zmban.spare_peers",
}  # fmt: skip


def read(options: Options) -> dict[str, Any]:
    """The fields of a JailSpec that they fill. Who wrote that a jail is not to ban, though with a slip of the
    pen, is not surprised by bans of eleven years."""
    return {
        "ipv4_prefix": options.whole("zmban.ipv4_prefix", 32, 8, 32),
        "ipv6_prefix": options.whole("zmban.ipv6_prefix", 64, 16, 128),
        "dry_run": options.boolean("zmban.dry_run", safe=True),
        "confirms": options.boolean("zmban.confirms"),
        "report_only": options.boolean("zmban.report_only", safe=True),
        "most_addresses": options.whole("zmban.most_addresses", 0, 0, 1_000_000),
        "spare_good": options.boolean("zmban.spare_good", safe=True),
        "spare_peers": options.boolean("zmban.spare_peers", safe=True),
        "count": options.one_of("zmban.count", "lines", ("lines", "logins")),
        "excused_by": options.text("zmban.excused_by"),
        "distinct": options.one_of("zmban.distinct", "", _DISTINCT),
    }


def unknown(key: str) -> tuple[str, bool]:
    """What is to be said of an option of our own that is not known, and whether it was meant to keep its jail
    from banning."""
    near = next(iter(get_close_matches(key, sorted(KEYS), 1, 0.8)), None)
    cure = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(KEYS))}"
    return f"{key} is not known in a jail; {cure}", near in ("zmban.dry_run", "zmban.report_only")
