"""Typed access to the options of one jail; invalid values are reported with file and line."""

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
# The Fail2Ban version whose format is implemented; a jail may refer to it as %(fail2ban_version)s.
_VERSION = "1.1.1"
# With more unknown options than this the file is generated, and not searched for misspellings.
_MOST_UNKNOWN = 500
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)


class Options:
    """The options of one jail. An invalid value is a fault, and that of the layer below applies."""

    def __init__(self, ini: Ini, name: str, directory: str = "") -> None:
        self.ini, self.name = ini, name
        self._constants = {"fail2ban_version": _VERSION, "fail2ban_confpath": directory}
        self.values = Values(ini, name, self._constants)
        self.faults: list[Fault] = []
        self._unknown = 0

    @property
    def good(self) -> bool:
        """Whether no fault so far stops the jail."""
        return not any(fault.stops for fault in self.faults)

    def over(self, known: Mapping[str, str]) -> Values:
        """Resolve the options again, now with those of the filter for `%(known/failregex)s`."""
        self.values = Values(self.ini, self.name, self._constants, known)
        return self.values

    def fault(self, key: str, message: str, *, warning: bool = False, stops: bool = False) -> None:
        """Add a fault at the file and line of an option."""
        self._fault(self.values.option(key) or self.values.option("enabled"), message, warning, stops)

    def _fault(self, option: Option | None, message: str, warning: bool = False, stops: bool = False) -> None:
        file, line = (option.file, option.line) if option else ("jail.conf", 1)
        self.faults.append(Fault(file, line, message, self.name, warning, stops))

    def read(self, key: str, fallback: str, parse: Callable[[str], T], safe: T | None = None) -> T:
        """The option as parsed by `parse`, else that of the layer below, else `fallback`.

        `safe`, if given, is returned instead if the topmost value is invalid. `parse` raises ValueError with
        the message of the fault.
        """
        wrong: list[tuple[Option, str]] = []
        found, text = None, fallback
        for option in self.values.layers(key):
            try:
                text = self.values.of_option(option, key).strip()
                found = parse(text)
                break
            except LostReferenceError as error:
                wrong.append((error.option, error.message))
            except ValueError as error:
                # If the value comes from another option, the fault is already reported there.
                if "%(" not in option.value or not any(repr(text[:60]) in f.message for f in self.faults):
                    wrong.append((option, str(error)))
        else:
            found, text = self._parse_fallback(parse, fallback, wrong), fallback
        if wrong and safe is not None:
            found, text = safe, str(safe).lower()
        for option, message in wrong:
            self._fault(option, f"{message}{'' if message.endswith('?') else ';'} using {_shown(text)}")
        return found

    @staticmethod
    def _parse_fallback(parse: Callable[[str], T], fallback: str, wrong: list[tuple[Option, str]]) -> T:
        """The parsed fallback. Raises ValueError with the first fault if the fallback is invalid too."""
        try:
            return parse(fallback)
        except ValueError as error:
            raise ValueError(wrong[0][1] if wrong else str(error)) from error

    def misspelt(self, key: str) -> str | None:
        """The jail option that an unknown key probably means; None if another value refers to the key."""
        self._unknown += 1
        meant = hints.misspelt(key) if self._unknown < _MOST_UNKNOWN else None
        named = f"%({key})s"
        used = meant and any(named in o.value for s in self.ini.sections.values() for o in s.values())
        return None if used else meant

    def text(self, key: str, fallback: str = "") -> str:
        """The resolved value, stripped."""
        return self.read(key, fallback, str)

    def whole(self, key: str, fallback: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""

        def parse(text: str) -> int:
            if _WHOLE.fullmatch(text) and low <= int(text) <= high:
                return int(text)
            raise ValueError(f"{key} = {text[:60]!r} is not a whole number from {low} to {high}{_hint(text)}")

        return self.read(key, str(fallback), parse)

    def boolean(self, key: str, *, fallback: bool = False, safe: bool | None = None) -> bool:
        """A truth value in one of Fail2Ban's words; `safe` if it is invalid."""

        def parse(text: str) -> bool:
            if text.lower() in TRUE | FALSE:
                return text.lower() in TRUE
            raise ValueError(
                f"{key} = {text[:60]!r} is neither true nor false; write true or false{_hint(text)}"
            )

        return self.read(key, str(fallback).lower(), parse, safe)

    def one_of(self, key: str, fallback: str, known: Sequence[str]) -> str:
        """One of the `known` words."""

        def parse(text: str) -> str:
            if text.lower() in (fallback, *known):
                return text.lower()
            raise ValueError(f"{key} = {text[:60]!r} is unknown; known are: {', '.join(known)}")

        return self.read(key, fallback, parse)

    def seconds(
        self, key: str, fallback: str, good: Callable[[Seconds], str] = lambda _: "", *, endless: bool = False
    ) -> Seconds:
        """A time value in seconds; longer than LONGEST counts as LONGEST, with a warning. `good` returns what
        is wrong with a value. `endless`: -1, and longer than LONGEST, is for ever (-1)."""

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
        means = "counts as for ever; write -1" if endless else "counts as 100 years; write a shorter one"
        self.fault(key, f"{key} = {found:g} is longer than 100 years and {means}", warning=True)
        return -1.0 if endless else LONGEST

    def timezone(self) -> tzinfo | None:
        """`logtimezone`: a fixed offset or (zmban only) an IANA name; None if not set."""
        return self.read("logtimezone", "", _zone)

    def encoding(self) -> str:
        """`logencoding`: must be ASCII-compatible, since lines are searched as bytes."""
        return self.read("logencoding", "auto", _encoding)


def _zone(text: str) -> tzinfo | None:
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return fixed_offset(text)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"logtimezone = {text[:60]!r} is unknown; write a zone such as Europe/Zurich or +0200"
        raise ValueError(text) from None


def _encoding(text: str) -> str:
    wanted = text.lower()
    with contextlib.suppress(LookupError, ValueError, TypeError):
        name = codecs.lookup("utf-8" if wanted in ("auto", "", "utf-8-sig") else wanted).name
        ascii_compatible = (
            "az09[]:\n".encode(name) == b"az09[]:\n" and b"az\xff".decode(name, "replace")[:2] == "az"
        )
        if ascii_compatible and name != "utf-7":
            return name
    raise ValueError(f"logencoding = {wanted[:60]!r} is not an ASCII-compatible encoding; write utf-8")


def _shown(text: str) -> str:
    return repr(text[:60]) if "\n" in text else text[:60] or "none"


def _hint(text: str) -> str:
    if "\n" in text:
        return " (an indented line continues the option above it; start all options in the same column)"
    return " (a comment after a value starts with ' ;', not ' #')" if "#" in text else ""
