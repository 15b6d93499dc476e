"""`<tag>` in filters: parameters put in their places, and the host tags turned into groups of a regex."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

from sidecar.model import ConfigError

_TAG = re.compile(r"<([^\s<>]+)>")
# Fail2Ban gives up at 25, though one value may well name a tag more often than that.
_MOST = 1000
_LONGEST = 1 << 17

_IP4 = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})"
_IP6 = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))"
_ADDR = rf"\[?(?:{_IP4}|{_IP6})\]?"
_DNS = r"(?P<dns>[\w\-.^_]*\w)"
_CIDR = r"(?P<cidr>\d+)"
_SUBNET = rf"\[?(?:{_IP4}|{_IP6})(?:/{_CIDR})?\]?"

# The field's tags, with the meaning that Fail2Ban's manual gives them.
_FIXED = {
    "IP4": _IP4,
    "F-IP4/": _IP4,
    "IP6": _IP6,
    "F-IP6/": _IP6,
    "ADDR": _ADDR,
    "F-ADDR/": _ADDR,
    "DNS": _DNS,
    "F-DNS/": _DNS,
    "CIDR": _CIDR,
    "F-CIDR/": _CIDR,
    "SUBNET": _SUBNET,
    "F-SUBNET/": _SUBNET,
    "F-ID/": r"(?P<fid>\S+)",
    "F-PORT/": r"(?P<fport>\w+)",
}
# Tags of the regex itself: nobody's parameters, unless somebody names one so.
HOST_TAGS = {*_FIXED, "HOST", "SKIPLINES"}
_OPEN = re.compile(r"<F-([A-Z0-9_-]+)>")
_SPECIAL = {"ID": "fid", "PORT": "fport"}
# `((?i)x)` is an error for Python 3.11 and later; `(?i:x)` says the same.
_LATE_FLAGS = re.compile(r"\((?:\?:)?\(\?([aiLmsux]+)\)")
HOST_GROUPS = ("fid", "ip4", "ip6", "dns")


def substitute(text: str, value_of: Callable[[str], str | None]) -> str:
    """Replace `<name>` by its parameter, innermost first and repeatedly; unknown tags stay.

    Raises ConfigError where a parameter leads back to itself, or grows beyond all measure.
    """
    counts: dict[str, int] = {}
    start = 0
    while found := _TAG.search(text, start):
        name = found.group(1)
        value = value_of(name)
        if value is None:
            start = found.start() + 1
            continue
        counts[name] = counts.get(name, 0) + 1
        if f"<{name}>" in value:
            raise ConfigError(f"<{name[:60]}> refers to itself; write its value without it")
        if counts[name] > _MOST:
            raise ConfigError(
                f"<{name[:60]}> refers to itself, or is named more than {_MOST} times; write it once"
            )
        if len(text) + len(value) > _LONGEST:
            raise ConfigError(f"<{name[:60]}> grows without end through what it refers to")
        text = text[: found.start()] + value + text[found.end() :]
        # A replacement may complete a tag that began before it, as in <mdre-<mode>>.
        start = text.rfind("<", 0, found.start()) if "<" in text[: found.start()] else found.start()
    return text


def to_regex(pattern: str, *, names: bool = False) -> str:
    """The Python regex of a failregex: host tags and `<F-NAME>...</F-NAME>` become named groups.

    With `names`, `<HOST>` may be a host name too (`usedns` other than no).
    """
    host = f"(?:{_ADDR}|{_DNS})" if names else _ADDR
    skipped = count(1)

    def tag(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "SKIPLINES":
            return rf"\n(?P<skiplines{next(skipped)}>(?:(?:.*\n)*?))"
        return host if name == "HOST" else _FIXED.get(name, found.group())

    text = _TAG.sub(tag, pattern)
    for name in dict.fromkeys(_OPEN.findall(text)):
        group = _SPECIAL.get(name, name.lower())
        text = text.replace(f"<F-{name}>", f"(?P<{group}>").replace(f"</F-{name}>", ")")
    return _LATE_FLAGS.sub(r"(?\1:", text)
