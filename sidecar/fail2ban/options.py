"""The options of one jail, typed: each value checked, and what is wrong with it said with file and line."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.fail2ban.dates.moments import fixed_offset
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.durations import seconds
from sidecar.fail2ban.syntax.ini import Ini, Option
from sidecar.fail2ban.syntax.interpolation import LostReferenceError, Values
from sidecar.model import LONGEST, Fault, Seconds

T = TypeVar("T")
TRUE = {"1", "on", "true", "yes"}
FALSE = {"0", "off", "false", "no", ""}
# The version of the reader that this one follows; every jail may name it.
_VERSION = "1.1.1"
# Whoever has more options than these has them from a program, which misspells none.
_MOST_UNKNOWN = 500
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)


class Options:
    """One jail's options. A value that cannot be read is a fault, and that of the layer below counts."""

    def __init__(self, ini: Ini, name: str, directory: str = "") -> None:
        self.ini, self.name = ini, name
        self._constants = {"fail2ban_version": _VERSION, "fail2ban_confpath": directory}
        self.values = Values(ini, name, self._constants)
        self.faults: list[Fault] = []
        self._unknown = 0

    @property
    def good(self) -> bool:
        """Whether nothing was wrong so far that stops the jail."""
        return not any(fault.stops for fault in self.faults)

    def over(self, known: Mapping[str, str]) -> Values:
        """The same options once it is known what the jail's filter has: `%(known/failregex)s`."""
        self.values = Values(self.ini, self.name, self._constants, known)
        return self.values

    def fault(self, key: str, message: str, *, warning: bool = False, stops: bool = False) -> None:
        """Say what is wrong with an option, at the place where it stands."""
        self._fault(self.values.option(key) or self.values.option("enabled"), message, warning, stops)

    def _fault(self, option: Option | None, message: str, warning: bool = False, stops: bool = False) -> None:
        file, line = (option.file, option.line) if option else ("jail.conf", 1)
        self.faults.append(Fault(file, line, message, self.name, warning, stops))

    def read(self, key: str, fallback: str, parse: Callable[[str], T], safe: T | None = None) -> T:
        """What `parse` makes of the option, else of the same option in the layer below, else of `fallback`;
        or `safe`, where the option itself cannot be read. `parse` raises ValueError with what is wrong."""
        wrong: list[tuple[Option, str]] = []
        found, told = None, fallback
        for option in self.values.layers(key):
            try:
                told = self.values.of_option(option, key).strip()
                found = parse(told)
                break
            except LostReferenceError as error:
                wrong.append((error.option, error.message))
            except ValueError as error:
                # What it refers to is wrong, and told where it stands.
                if "%(" not in option.value or not any(repr(told[:60]) in f.message for f in self.faults):
                    wrong.append((option, str(error)))
        else:
            found, told = self._fallen(parse, fallback, wrong), fallback
        if wrong and safe is not None:
            found, told = safe, str(safe).lower()
        for place, message in wrong:
            self._fault(
                place, f"{message}{'' if message.endswith('?') else ';'} until then it is {_shown(told)}"
            )
        return found

    @staticmethod
    def _fallen(parse: Callable[[str], T], fallback: str, wrong: list[tuple[Option, str]]) -> T:
        """What the fallback is. ValueError where that is nothing either, with what was wrong first."""
        try:
            return parse(fallback)
        except ValueError as error:
            raise ValueError(wrong[0][1] if wrong else str(error)) from error

    def misspelt(self, key: str) -> str | None:
        """The option that one of the jail is probably meant to be; not where another value names it."""
        self._unknown += 1
        meant = hints.misspelt(key) if self._unknown < _MOST_UNKNOWN else None
        named = f"%({key})s"
        used = meant and any(named in o.value for s in self.ini.sections.values() for o in s.values())
        return None if used else meant

    def text(self, key: str, fallback: str = "") -> str:
        """The resolved value without blanks around it."""
        return self.read(key, fallback, str)

    def whole(self, key: str, fallback: int, low: int, high: int) -> int:
        """A whole number within bounds."""

        def parse(text: str) -> int:
            if _WHOLE.fullmatch(text) and low <= int(text) <= high:
                return int(text)
            raise ValueError(f"{key} = {text[:60]!r} is no whole number from {low} to {high}{_hint(text)}")

        return self.read(key, str(fallback), parse)

    def boolean(self, key: str, *, fallback: bool = False, safe: bool | None = None) -> bool:
        """True or false, in one of their eight words; `safe` where it cannot be read."""

        def parse(text: str) -> bool:
            if text.lower() in TRUE | FALSE:
                return text.lower() in TRUE
            raise ValueError(
                f"{key} = {text[:60]!r} is neither true nor false; write true or false{_hint(text)}"
            )

        return self.read(key, str(fallback).lower(), parse, safe)

    def one_of(self, key: str, fallback: str, known: Sequence[str]) -> str:
        """One of these words."""

        def parse(text: str) -> str:
            if text.lower() in (fallback, *known):
                return text.lower()
            raise ValueError(f"{key} = {text[:60]!r} is not known; there are: {', '.join(known)}")

        return self.read(key, fallback, parse)

    def seconds(
        self, key: str, fallback: str, good: Callable[[Seconds], str] = lambda _: "", *, endless: bool = False
    ) -> Seconds:
        """A time value of LONGEST at most; what is longer counts as that, with a warning. `good` says what is
        wrong with one. `endless`: -1, or longer, is for ever."""

        def parse(text: str) -> Seconds:
            try:
                found = seconds(text)
            except ValueError as error:
                raise ValueError(f"{key}: {error}{_hint(text)}") from error
            if reason := good(found):
                raise ValueError(f"{key} = {found:g} {reason}")
            return found

        found = self.read(key, fallback, parse)
        if found <= LONGEST:
            return found
        means = "is for ever here; write -1" if endless else "counts as 100 years; write a shorter one"
        self.fault(key, f"{key} = {found:g} is longer than 100 years and {means}", warning=True)
        return -1.0 if endless else LONGEST

    def timezone(self) -> tzinfo | None:
        """`logtimezone`: a fixed offset, or (our extension) an IANA name; None where none is given."""
        return self.read("logtimezone", "", _zone)

    def encoding(self) -> str:
        """`logencoding`: one in which ASCII text stands as it is, since lines are found by their bytes."""
        return self.read("logencoding", "auto", _encoding)


def _zone(text: str) -> tzinfo | None:
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return fixed_offset(text)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"logtimezone = {text[:60]!r} is not known; write Europe/Zurich or +0200"
        raise ValueError(text) from None


def _encoding(text: str) -> str:
    wanted = text.lower()
    with contextlib.suppress(LookupError, ValueError, TypeError):
        name = codecs.lookup("utf-8" if wanted in ("auto", "", "utf-8-sig") else wanted).name
        ascii_stands = (
            "az09[]:\n".encode(name) == b"az09[]:\n" and b"az\xff".decode(name, "replace")[:2] == "az"
        )
        if ascii_stands and name != "utf-7":
            return name
    raise ValueError(f"logencoding = {wanted[:60]!r} is no encoding that holds ASCII; write utf-8")


def _shown(text: str) -> str:
    return repr(text[:60]) if "\n" in text else text[:60] or "none"


def _hint(text: str) -> str:
    if "\n" in text:
        return " (an indented line belongs to the option above it; begin each option at the same column)"
    return " (a comment behind a value needs ' ;', not ' #')" if "#" in text else ""
