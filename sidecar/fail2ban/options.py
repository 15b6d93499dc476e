"""The options of one jail, typed: each value checked, and what is wrong with it said with file and line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.fail2ban import hints
from sidecar.fail2ban.durations import seconds
from sidecar.fail2ban.ini import Ini
from sidecar.fail2ban.interpolation import LostReferenceError, Values
from sidecar.fail2ban.moments import fixed_offset
from sidecar.model import LONGEST, Fault, Seconds

TRUE = {"1", "on", "true", "yes"}
FALSE = {"0", "off", "false", "no", ""}
# The version of the reader that this one follows; every jail may name it.
_VERSION = "1.1.1"
# Whoever has more options than these has them from a program, which misspells none.
_MOST_UNKNOWN = 500
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)


class Options:
    """One jail's options. A value that cannot be read is a fault, and its fallback stands in for it."""

    def __init__(self, ini: Ini, name: str, directory: str = "") -> None:
        self.ini, self.name = ini, name
        self._constants = {"fail2ban_version": _VERSION, "fail2ban_confpath": directory}
        self.values = Values(ini, name, self._constants)
        self.faults: list[Fault] = []
        self._unknown = 0

    @property
    def good(self) -> bool:
        """Whether nothing was wrong so far that stops the jail."""
        return all(fault.warning for fault in self.faults)

    def over(self, known: Mapping[str, str]) -> Values:
        """The same options once it is known what the jail's filter has: `%(known/failregex)s`."""
        self.values = Values(self.ini, self.name, self._constants, known)
        return self.values

    def fault(self, key: str, message: str, *, warning: bool = False) -> None:
        """Say what is wrong with an option, at the place where it stands."""
        option = self.values.option(key) or self.values.option("enabled")
        file, line = (option.file, option.line) if option else ("jail.conf", 1)
        self.faults.append(Fault(file, line, message, self.name, warning))

    def misspelt(self, key: str) -> str | None:
        """The option that one of the jail is probably meant to be; not where another value names it."""
        self._unknown += 1
        meant = hints.misspelt(key) if self._unknown < _MOST_UNKNOWN else None
        named = f"%({key})s"
        used = meant and any(named in o.value for s in self.ini.sections.values() for o in s.values())
        return None if used else meant

    def text(self, key: str, fallback: str = "") -> str:
        """The resolved value without blanks around it."""
        try:
            value = self.values.get(key, fallback)
            return fallback if value is None else value.strip()
        except LostReferenceError as error:
            place = error.option.file, error.option.line
            self.faults.append(Fault(*place, error.message, self.name))
            return fallback

    def whole(self, key: str, fallback: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        text = self.text(key, str(fallback))
        if _WHOLE.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        self.fault(key, f"{key} = {text[:60]!r} is no whole number from {low} to {high}{_hint(text)}")
        return fallback

    def boolean(self, key: str, *, fallback: bool = False) -> bool:
        """True or false, in one of their eight words."""
        text = self.text(key, "true" if fallback else "").lower()
        if text not in TRUE | FALSE:
            self.fault(
                key, f"{key} = {text[:60]!r} is neither true nor false; write true or false{_hint(text)}"
            )
            return fallback
        return text in TRUE

    def seconds(self, key: str, fallback: str, *, endless: bool = False) -> Seconds:
        """A time value of LONGEST at most; what is longer counts as that, with a warning. `endless`: -1, or
        longer, is for ever."""
        text = self.text(key, fallback)
        try:
            found = seconds(text)
        except ValueError as error:
            self.fault(key, f"{key}: {error}{_hint(text)}")
            return seconds(fallback)
        if found <= LONGEST:
            return found
        means = "is for ever here; write -1" if endless else "counts as 100 years; write a shorter one"
        self.fault(key, f"{key} = {text[:60]} is longer than 100 years and {means}", warning=True)
        return -1.0 if endless else LONGEST

    def timezone(self) -> tzinfo | None:
        """`logtimezone`: a fixed offset, or (our extension) an IANA name; None where none is given."""
        text = self.text("logtimezone")
        if not text:
            return None
        try:
            return fixed_offset(text)
        except ValueError:
            pass
        try:
            return ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fault(
                "logtimezone", f"logtimezone = {text[:60]!r} is not known; write Europe/Zurich or +0200"
            )
            return None

    def encoding(self) -> str:
        """`logencoding`: one in which ASCII text stands as it is, since lines are found by their bytes."""
        text = self.text("logencoding", "auto").lower()
        try:
            name = codecs.lookup("utf-8" if text in ("auto", "", "utf-8-sig") else text).name
            if "az09[]:\n".encode(name) == b"az09[]:\n" and name != "utf-7":
                return name
        except (LookupError, ValueError, TypeError):
            pass
        self.fault("logencoding", f"logencoding = {text[:60]!r} is no encoding that holds ASCII; write utf-8")
        return "utf-8"


def _hint(text: str) -> str:
    if "\n" in text:
        return " (an indented line belongs to the option above it; begin each option at the same column)"
    return " (a comment behind a value needs ' ;', not ' #')" if "#" in text else ""
