"""`name[option=value, other="v"][more=1]`: filters and actions as a jail names them."""

from __future__ import annotations

import re

from sidecar.model import ConfigError

_NAME = re.compile(r"\s*([^\[\]\s,][^\[\]\s]*)\s*")
_OPTION = re.compile(r"""([\w.-]+(?:\?\w+=\w+)?)\s*=(?:"([^"]*)"|'([^']*)'|([^,\]]*))\s*(?:,|(?=\]|$))\s*""")


def split_name(text: str) -> tuple[str, dict[str, str]]:
    """One name and its options; a later one of the same name wins. ConfigError for anything else."""
    found = split_names(text)
    if len(found) > 1:
        raise ConfigError(
            f"{text[:80]!r} names {len(found)} filters, and a jail has one; its name has no blanks"
        )
    if not found:
        raise ConfigError(f"{text[:80]!r} is no filter or action; write name or name[option=value]")
    return found[0]


def split_names(text: str) -> list[tuple[str, dict[str, str]]]:
    """Several names with their options, separated by blanks or new lines. ConfigError as for one."""
    found: list[tuple[str, dict[str, str]]] = []
    place = 0
    while place < len(text.rstrip()):
        name = _NAME.match(text, place)
        if name is None:
            raise ConfigError(f"{text[:80]!r} is no filter or action; write name or name[option=value]")
        place = name.end()
        options: dict[str, str] = {}
        while text[place : place + 1] == "[":
            place = _options(text, place + 1, options)
        found.append((name.group(1), options))
    return found


def _options(text: str, place: int, options: dict[str, str]) -> int:
    """Read one pair of brackets into `options`; where the text goes on behind it."""
    while place < len(text) and text[place].isspace():
        place += 1
    while text[place : place + 1] != "]":
        one = _OPTION.match(text, place)
        if one is None or one.end() == place or place >= len(text):
            rest = text[place:][:20]
            where = f"cannot read the options at {rest!r}" if rest else "the bracket ] is missing"
            raise ConfigError(f"{text[:80]!r}: {where}; write name[option=value]")
        options[one.group(1)] = next((g for g in one.groups()[1:] if g is not None), "").strip()
        place = one.end()
    place += 1
    while place < len(text) and text[place].isspace():
        # A bracket behind blanks belongs to the same name.
        place += 1
    return place
