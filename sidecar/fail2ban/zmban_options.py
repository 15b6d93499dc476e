"""The `zmban.` options of a jail; Fail2Ban ignores them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from sidecar.fail2ban.jail_options import Options

Count: TypeAlias = Literal["lines", "logins"]
# Fields of a line whose distinct values can be counted.
_DISTINCT = ("user", "recipient", "sender")
KEYS = {
    "zmban.confirms", "zmban.count", "zmban.distinct", "zmban.dry_run", "zmban.excused_by",
    "zmban.ipv4_prefix", "zmban.ipv6_prefix", "zmban.log", "zmban.most_addresses", "zmban.report_only",
    "zmban.spare_good", "zmban.spare_peers",
}  # fmt: skip


def read(options: Options) -> dict[str, Any]:
    """The JailSpec fields set by these options. An option that prevents bans counts as true if its value is
    invalid (`safe`): a typing error must not cause bans of years."""
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
        "log": options.text("zmban.log"),
        "distinct": options.one_of("zmban.distinct", "", _DISTINCT),
    }


def unknown(key: str) -> tuple[str, bool]:
    """The message for an unknown `zmban.` option, and whether it probably was meant to prevent bans."""
    near = next(iter(get_close_matches(key, sorted(KEYS), 1, 0.8)), None)
    cure = f"did you mean {near}?" if near else f"known are: {', '.join(sorted(KEYS))}"
    return f"{key} is not a jail option; {cure}", near in ("zmban.dry_run", "zmban.report_only")
