"""Cuts out of a line what nobody needs to keep: passwords, tokens, cookies, the subjects of messages."""

from __future__ import annotations

import re

_CUT = "[cut]"
_NAMES = (
    r"pass(?:word|wd|code)?|pwd|secret|[a-z_]*auth_?token|csrf_?token|token|preauth|jsessionid|api_?key"
    r"|[a-z]*bindpassword|twofactorcode"
)
_SECRET = re.compile(
    # name=value, name: value, "name":"value", <name>value
    rf"""(?i)\b((?:{_NAMES})(?:"?\s*[=:]\s*"?|>))(?!\[cut\])([^\s"&;,<>\]]+)"""
    # whole headers
    r"""|\b((?:authorization|(?:set-)?cookie)\s*:\s*+)(?!\[cut\])([^"\r\n]+)"""
    r"""|\b(subject\s*[:=]\s*+)(?!\[cut\])("[^"]*"|[^,;\r\n]+)"""
)
# One look tells of nearly every line that there is nothing in it.
_ANY = re.compile(
    r"(?i)pass|pwd|secret|token|preauth|jsessionid|api_?key|authorization|cookie|subject|twofactor"
)


def without_secrets(line: str) -> str:
    """The line with the values of all secrets replaced."""
    if not _ANY.search(line):
        return line
    return _SECRET.sub(lambda found: next(filter(None, found.group(1, 3, 5))) + _CUT, line)
