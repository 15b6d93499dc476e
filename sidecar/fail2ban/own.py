"""The options of a jail that are zmban's own: `zmban.` in front, so that Fail2Ban passes them over."""

from __future__ import annotations

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
    """The fields of a JailSpec that they fill."""
    return {
        "ipv4_prefix": options.whole("zmban.ipv4_prefix", 32, 8, 32),
        "ipv6_prefix": options.whole("zmban.ipv6_prefix", 64, 16, 128),
        "dry_run": options.boolean("zmban.dry_run"),
        "confirms": options.boolean("zmban.confirms"),
        "report_only": options.boolean("zmban.report_only"),
        "most_addresses": options.whole("zmban.most_addresses", 0, 0, 1_000_000),
        "spare_good": options.boolean("zmban.spare_good"),
        "spare_peers": options.boolean("zmban.spare_peers"),
        "count": _one_of(options, "zmban.count", "lines", ("lines", "logins")),
        "excused_by": options.text("zmban.excused_by"),
        "distinct": _one_of(options, "zmban.distinct", "", _DISTINCT),
    }


def _one_of(options: Options, key: str, fallback: str, known: tuple[str, ...]) -> str:
    text = options.text(key, fallback).lower()
    if text in (fallback, *known):
        return text
    options.fault(key, f"{key} = {text[:60]!r} is not known; there are: {', '.join(known)}")
    return fallback
