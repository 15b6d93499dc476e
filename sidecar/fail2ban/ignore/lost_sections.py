"""Options of sections with a broken or missing header: their `ignoreip`, and jails they disable."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from sidecar.fail2ban.ignore import ignoreip
from sidecar.fail2ban.ignore.ignoreip import Ignored
from sidecar.fail2ban.jail_options import FALSE, TRUE
from sidecar.fail2ban.syntax.ini import HEADER, NOT_JAILS, Ini, Option

# Names that other programs use for the section of defaults.
_GLOBAL = {"global", "all", "general", "common"}


def spared(ini: Ini) -> Ignored:
    """The `ignoreip` entries of lost sections and of sections with a misspelt name. No jail bans these hosts:
    a mistake in a header must not get anybody banned."""
    used = [name for name, section in ini.sections.items() if "enabled" in section]
    lost = [*ini.lost, *(section for name, section in ini.sections.items() if _misnamed(ini, name, used))]
    texts = (option.value for section in lost if (option := section.get("ignoreip")))
    found, _ = ignoreip.read(word for text in texts for word in ignoreip.words(text))
    # A single word of an unreadable line is not taken for a host name.
    return replace(found, names=tuple(name for name in found.names if "." in name))


def _misnamed(ini: Ini, name: str, used: list[str]) -> bool:
    """Whether a section is unused and its name is close to that of a `used` jail or of [DEFAULT]."""
    section, word = ini.sections[name], name.strip().casefold()
    if name in NOT_JAILS or {"enabled", "filter", "logpath"} & section.keys():
        return False
    return word in _GLOBAL or bool(get_close_matches(word, ["default", *used], 1, 0.8))


def switched_off(ini: Ini, jail: str) -> tuple[str, Option] | None:
    """The option of a lost section that disables this jail or makes it a dry run. The jail is recognised by
    the rest of the section's header."""
    for section in ini.lost:
        name = section[HEADER].value.strip("[](){} ") if HEADER in section else ""
        if not name or get_close_matches(name, ini.sections, 1, 0.8) != [jail]:
            continue
        for key, words in (("zmban.dry_run", TRUE), ("zmban.report_only", TRUE), ("enabled", FALSE)):
            if (option := section.get(key)) and option.value.lower() in words:
                return key, option
    return None
