"""`<tag>` in filters: replaces parameters, and converts host tags to named groups."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

from sidecar.model import ConfigError

_TAG = re.compile(r"<([^\s<>]+)>")
# Fail2Ban's limit is 25, but one value may legitimately contain a tag more often.
_MOST = 1000
_LONGEST = 1 << 17

_IP4 = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})"
_IP6 = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))"
_ADDR = rf"\[?(?:{_IP4}|{_IP6})\]?"
_DNS = r"(?P<dns>[\w\-.^_]*\w)"
_CIDR = r"(?P<cidr>\d+)"
_SUBNET = rf"\[?(?:{_IP4}|{_IP6})(?:/{_CIDR})?\]?"

# Host tags, with the meaning given in Fail2Ban's manual.
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
# Tags of the regex itself; not parameters, unless a parameter of the same name is defined.
HOST_TAGS = {*_FIXED, "HOST", "SKIPLINES"}
_OPEN = re.compile(r"<F-([A-Z0-9_-]+)>")
_SPECIAL = {"ID": "fid", "PORT": "fport"}
# `((?i)x)` is an error since Python 3.11; `(?i:x)` is equivalent.
_LATE_FLAGS = re.compile(r"\((?:\?:)?\(\?([aiLmsux]+)\)")
HOST_GROUPS = ("fid", "ip4", "ip6", "dns")


def substitute(text: str, value_of: Callable[[str], str | None]) -> str:
    """Replace `<name>` by its parameter, innermost first and repeatedly; unknown tags stay.

    Raises ConfigError if a parameter refers to itself, or the text gets too long.
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
            raise ConfigError(f"<{name[:60]}> refers to itself; remove it from its own value")
        if counts[name] > _MOST:
            raise ConfigError(
                f"<{name[:60]}> refers to itself, or occurs more than {_MOST} times; use it once"
            )
        if len(text) + len(value) > _LONGEST:
            raise ConfigError(f"<{name[:60]}> expands without end through its references")
        text = text[: found.start()] + value + text[found.end() :]
        # A replacement may complete a tag that starts before it, as in <mdre-<mode>>.
        start = text.rfind("<", 0, found.start()) if "<" in text[: found.start()] else found.start()
    return text


def to_regex(pattern: str, *, names: bool = False) -> str:
    """The Python regex of a failregex: host tags and `<F-NAME>...</F-NAME>` become named groups.

    With `names`, `<HOST>` also matches a host name (`usedns` other than no).
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
