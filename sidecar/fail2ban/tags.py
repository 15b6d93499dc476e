"""`<tag>` in filters: parameters put in their places, and the host tags turned into groups of a regex."""

from __future__ import annotations

import re
from collections.abc import Callable

from sidecar.model import ConfigError

_TAG = re.compile(r"<([^\s<>]+)>")
_MOST = 25

_IP4 = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})"
_IP6 = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))"
_ADDR = rf"\[?(?:{_IP4}|{_IP6})\]?"
_DNS = r"(?P<dns>[\w\-.^_]*\w)"
_CIDR = r"(?P<cidr>\d+)"

# The field's tags, with the meaning that Fail2Ban's manual gives them.
_HOST_TAGS = {
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
    "SUBNET": rf"\[?(?:{_IP4}|{_IP6})(?:/{_CIDR})?\]?",
    "F-SUBNET/": rf"\[?(?:{_IP4}|{_IP6})(?:/{_CIDR})?\]?",
    "F-ID/": r"(?P<fid>\S+)",
    "F-PORT/": r"(?P<fport>\w+)",
}
_OPEN = re.compile(r"<F-([A-Z0-9_]+)>")
_SPECIAL = {"ID": "fid", "PORT": "fport"}
# `((?i)x)` is an error for Python 3.11 and later; `(?i:x)` says the same.
_LATE_FLAGS = re.compile(r"\((?:\?:)?\(\?([aiLmsux]+)\)")
HOST_GROUPS = ("fid", "ip4", "ip6", "dns")


def substitute(text: str, value_of: Callable[[str], str | None]) -> str:
    """Replace `<name>` by its parameter, innermost first and repeatedly; unknown tags stay.

    Raises ConfigError where a parameter leads back to itself.
    """
    counts: dict[str, int] = {}
    start = 0
    while found := _TAG.search(text, start):
        name = found.group(1)
        value = None if name in _HOST_TAGS or name == "HOST" else value_of(name)
        if value is None:
            start = found.start() + 1
            continue
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > _MOST or f"<{name}>" in value:
            raise ConfigError(f"<{name}> contains a definition that refers to itself")
        text = text[: found.start()] + value + text[found.end() :]
        # A replacement may complete a tag that began before it, as in <mdre-<mode>>.
        start = 0
    return text


def to_regex(pattern: str, *, usedns: bool = False) -> str:
    """The Python regex of a failregex: host tags and `<F-NAME>...</F-NAME>` become named groups.

    With `usedns` False, `<HOST>` is an address only: a name in a log never bans anybody.
    """
    host = f"(?:{_ADDR}|{_DNS})" if usedns else _ADDR

    def tag(found: re.Match[str]) -> str:
        name = found.group(1)
        return host if name == "HOST" else _HOST_TAGS.get(name, found.group())

    text = _TAG.sub(tag, pattern)
    for name in _OPEN.findall(text):
        close = f"</F-{name}>"
        if close in text:
            group = _SPECIAL.get(name, name.lower())
            text = text.replace(f"<F-{name}>", f"(?P<{group}>", 1).replace(close, ")", 1)
    return _LATE_FLAGS.sub(r"(?\1:", text)
