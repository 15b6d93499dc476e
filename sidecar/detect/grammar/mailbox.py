"""mailbox.log, audit.log, sync.log: `LEVEL [thread] [k=v;k=v;] component - message`, as log4j writes them.

In a value `;` is doubled, so a client's User-Agent cannot begin a key of its own. The thread carries a
URL that the client chose; nothing in it is believed.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.trust import Trust

_HEAD = re.compile(r"\s*(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s+\[")
_SEAM = re.compile(r"\]\[")
_KEY = re.compile(r"([A-Za-z]\w*)=")
_VALUE = re.compile(r"((?:[^;]|;;)*);(?!;)")
_COMPONENT = re.compile(r" ?[\w.$-]+ - ")


def context(text: str) -> dict[str, str] | None:
    """The keys of a dateless line's `[k=v;]` part, values unescaped; None if it is not of this form.

    A key that stands twice keeps its first value: the server writes each once.
    """
    head = _HEAD.match(text)
    if head is None:
        return None
    # A URL has no blank in it, so the first blank after the thread's bracket is the one that the server
    # wrote between thread and context, whatever the URL says.
    blank = text.find(" ", head.end())
    if text[blank - 1 : blank + 2] == "] [":
        return _fields(text, blank + 2)
    # sync.log has no blank there. Then a URL can imitate the seam; where two readings are possible,
    # nobody is blamed.
    seams = [found.end() for found in _SEAM.finditer(text, head.end(), blank)]
    readings = [fields for seam in seams if (fields := _fields(text, seam)) is not None]
    return readings[0] if len(readings) == 1 else None


def _fields(text: str, at: int) -> dict[str, str] | None:
    fields: dict[str, str] = {}
    while True:
        if text.startswith("]", at):
            return fields if _COMPONENT.match(text, at + 1) else None
        key = _KEY.match(text, at)
        value = _VALUE.match(text, key.end()) if key else None
        if key is None or value is None:
            return None
        fields.setdefault(key.group(1), value.group(1).replace(";;", ";"))
        at = value.end()


def client(text: str, trust: Trust) -> str | None:
    """The address to blame: the right-most element of `oip` that is no trusted proxy, if there is no
    `ip` or `ip` is a trusted proxy; else `ip`, whatever `oip` says."""
    fields = context(text)
    if not fields:
        return None
    peer, forwarded = fields.get("ip"), fields.get("oip")
    if forwarded and (peer is None or trust.is_proxy(peer)):
        return trust.client(forwarded.split(","))
    return trust.client([peer]) if peer else None
