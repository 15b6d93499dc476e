"""What a lost part of the jails' files may have been meant for: whom to ignore, which jail to keep still."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from sidecar.fail2ban.ignore import ignoring
from sidecar.fail2ban.ignore.ignoring import Ignored
from sidecar.fail2ban.options import FALSE, TRUE
from sidecar.fail2ban.syntax.ini import HEADER, NOT_JAILS, Ini, Option

# What other programs call what is for all.
_GLOBAL = {"global", "all", "general", "common"}


def spared(ini: Ini) -> Ignored:
    """Whom a lost part of the files wants ignored, or a section whose name is a misspelt one: no jail may ban
    them for a mistake in a header."""
    lost = [*ini.lost, *(section for name, section in ini.sections.items() if _misnamed(ini, name))]
    texts = (option.value for section in lost if (option := section.get("ignoreip")))
    found, _ = ignoring.read(word for text in texts for word in ignoring.words(text))
    # A word of a line that cannot be read is not yet a host name.
    return replace(found, names=tuple(name for name in found.names if "." in name))


def _misnamed(ini: Ini, name: str) -> bool:
    """Whether nothing uses a section, and its name is close to one that something uses."""
    section, word = ini.sections[name], name.strip().casefold()
    if name in NOT_JAILS or {"enabled", "filter", "logpath"} & section.keys():
        return False
    used = [n for n, one in ini.sections.items() if n != name and "enabled" in one]
    return word in _GLOBAL or bool(get_close_matches(word, ["default", *used], 1, 0.8))


def switched_off(ini: Ini, jail: str) -> tuple[str, Option] | None:
    """The option of a lost section by which this jail was not meant to ban, by what is left of a header."""
    for section in ini.lost:
        name = section[HEADER].value.strip("[](){} ") if HEADER in section else ""
        if not name or get_close_matches(name, ini.sections, 1, 0.8) != [jail]:
            continue
        for key, words in (("zmban.dry_run", TRUE), ("zmban.report_only", TRUE), ("enabled", FALSE)):
            if (option := section.get(key)) and option.value.lower() in words:
                return key, option
    return None
