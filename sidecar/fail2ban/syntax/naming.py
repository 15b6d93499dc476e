"""Parses `name[option=value, other="v"][more=1]`, the form in which a jail names filters and actions."""

from __future__ import annotations

import re

from sidecar.model import ConfigError

_NAME = re.compile(r"\s*([^\[\]\s,][^\[\]\s]*)\s*")
_OPTION = re.compile(r"""([\w.-]+(?:\?\w+=\w+)?)\s*=(?:"([^"]*)"|'([^']*)'|([^,\]]*))\s*(?:,|(?=\]|$))\s*""")


def split_name(text: str) -> tuple[str, dict[str, str]]:
    """One name and its options; of two equal options the later one wins. Raises ConfigError for anything
    else."""
    found = split_names(text)
    if len(found) > 1:
        raise ConfigError(
            f"{text[:80]!r} names {len(found)} filters; a jail has one filter, whose name has no spaces"
        )
    if not found:
        raise ConfigError(f"{text[:80]!r} is not a filter or action; write name or name[option=value]")
    return found[0]


def split_names(text: str) -> list[tuple[str, dict[str, str]]]:
    """Names with their options, separated by whitespace. Raises ConfigError as `split_name`."""
    found: list[tuple[str, dict[str, str]]] = []
    place = 0
    while place < len(text.rstrip()):
        name = _NAME.match(text, place)
        if name is None:
            raise ConfigError(f"{text[:80]!r} is not a filter or action; write name or name[option=value]")
        place = name.end()
        options: dict[str, str] = {}
        while text[place : place + 1] == "[":
            place = _options(text, place + 1, options)
        found.append((name.group(1), options))
    return found


def _options(text: str, place: int, options: dict[str, str]) -> int:
    """Parse one pair of brackets into `options`. Returns the position behind it."""
    while place < len(text) and text[place].isspace():
        place += 1
    while text[place : place + 1] != "]":
        one = _OPTION.match(text, place)
        if one is None or one.end() == place or place >= len(text):
            rest = text[place:][:20]
            where = f"cannot parse the options at {rest!r}" if rest else "the closing ] is missing"
            raise ConfigError(f"{text[:80]!r}: {where}; write name[option=value]")
        options[one.group(1)] = next((g for g in one.groups()[1:] if g is not None), "").strip()
        place = one.end()
    place += 1
    while place < len(text) and text[place].isspace():
        # A bracket after whitespace belongs to the same name.
        place += 1
    return place
