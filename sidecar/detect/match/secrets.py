"""Redacts secrets in a line before it is stored: passwords, tokens, cookies, message subjects."""

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
# A lower-cased line without any of these has no secrets; this excludes nearly all lines quickly.
_ANY = (
    "pass", "token", "secret", "pwd", "cookie", "subject", "authorization", "preauth", "jsessionid", "apikey",
    "api_key", "twofactor",
)  # fmt: skip


def without_secrets(line: str) -> str:
    """The line with the values of all secrets replaced by `[cut]`."""
    lowered = line.lower()
    for word in _ANY:
        if word in lowered:
            break
    else:
        return line
    return _SECRET.sub(lambda found: next(filter(None, found.group(1, 3, 5))) + _CUT, line)
