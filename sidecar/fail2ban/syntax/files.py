"""The one door to the disk: which files make up a jail configuration or a filter, in which order."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from sidecar.fail2ban.syntax import hints, ini
from sidecar.fail2ban.syntax.interpolation import LostReferenceError, Values
from sidecar.model import Fault, decoded

# Beyond these a configuration includes itself in circles, or is none.
_MOST_FILES = 500
_DEEPEST = 20
_MOST_CURES = 20
_LARGEST = 8 << 20
# What file systems take, with an ending.
_LONGEST_NAME = 200
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class ConfigFiles:
    """Reads Fail2Ban's files from several directories; a later directory overrides an earlier one."""

    def __init__(self, directories: list[Path]) -> None:
        self.directories = directories

    @property
    def directory(self) -> str:
        """The one on top, which a configuration may name as its own."""
        return str(self.directories[-1]) if self.directories else ""

    def jails(self) -> ini.Ini:
        """`jail.conf`, `jail.d/*.conf`, `jail.local`, `jail.d/*.local` of every directory, merged."""
        merged = self._merged("jail")[0]
        merged.faults += self._nameless()
        return merged

    def filter(self, name: str) -> ini.Ini | None:
        """`filter.d/NAME.conf` and what overrides it, merged; None where no directory has it."""
        merged, found = self._merged(f"filter.d/{name}")
        return merged if found else None

    def action(self, name: str) -> ini.Ini | None:
        """`action.d/NAME.conf` and what overrides it, merged; None where no directory has it."""
        merged, found = self._merged(f"action.d/{name}")
        return merged if found else None

    def without_ending(self, name: str) -> Path | None:
        """The file that filter NAME was saved in without its ending .conf, as web pages call filters."""
        for directory in self.directories:
            for wrong in (name, f"{name}.txt", f"{name}.conf.txt"):
                path = directory / "filter.d" / wrong
                if is_file(path) and path.suffix not in (".conf", ".local"):
                    return path
        return None

    def instead_of(self, name: str) -> Path | None:
        """A directory that stands where the file of filter NAME should."""
        paths = [d / "filter.d" / f"{name}.conf" for d in self.directories]
        return next(
            (path for path in paths if path.parent.is_dir() and path in path.parent.glob("*.conf")), None
        )

    @staticmethod
    def listed(path: str) -> str | None:
        """The text of a file that an `ignoreip` names; None where it cannot be read or is no file."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).is_file() else None
        except (OSError, ValueError):
            return None

    def alone(self, path: Path) -> ini.Ini:
        """One file named by its path, with what it includes."""
        merged = _Reading(self.directories).file(path)
        merged.sections.pop("INCLUDES", None)
        return merged

    def filter_names(self) -> list[str]:
        """All filters that could be named, without the common includes."""
        folders = [d / "filter.d" for d in self.directories]
        paths = [p for f in folders for ending in ("*.conf", "*.local") for p in f.glob(ending) if is_file(p)]
        return sorted({p.stem for p in paths if not p.stem.endswith("common")})

    def _merged(self, stem: str) -> tuple[ini.Ini, bool]:
        merged, found = ini.Ini(), False
        if not Path(stem).name.strip(".") or "\0" in stem or len(Path(stem).name) > _LONGEST_NAME:
            return merged, found
        reading = _Reading(self.directories)
        for directory in self.directories:
            base = directory / stem
            parts = base.with_name(base.name + ".d")
            candidates = [
                base.with_name(base.name + ".conf"),
                *sorted(parts.glob("*.conf")),
                base.with_name(base.name + ".local"),
                *sorted(parts.glob("*.local")),
            ]
            for path in candidates:
                if is_file(path):
                    found = True
                    merged.merge(reading.file(path))
                elif path.is_dir():
                    text = (
                        "is a directory, as Docker makes one for a file that is missing; put the file there"
                    )
                    merged.faults.append(Fault(str(path), 1, text, warning=True))
        merged.sections.pop("INCLUDES", None)
        return merged, found

    def _nameless(self) -> Iterator[Fault]:
        """Files that lie among the jails and are not read for their names, such as jail.d/zimbra."""
        for directory in self.directories:
            for path in sorted((directory / "jail.d").glob("*")):
                forgotten = not path.suffix or path.name.endswith((".conf.txt", ".local.txt"))
                if forgotten and path.is_file() and not path.name.startswith((".", "README")):
                    text = f"is not read; rename it to {path.name.partition('.')[0]}.local"
                    yield Fault(str(path), 1, text, warning=True)


class _Reading:
    """One reading of files that include others: how many it took so far, for it must end."""

    def __init__(self, directories: list[Path]) -> None:
        self._directories = directories
        self._taken = 0
        self._cures: dict[str, str] = {}

    def file(self, path: Path, above: tuple[Path, ...] = ()) -> ini.Ini:
        """One file with everything that it includes before and after itself."""
        self._taken += 1
        own = _parsed(path)
        includes = _referred(own)
        merged = ini.Ini()
        for part in (*self._included(path, includes, "before", above), own):
            merged.merge(part)
        for part in self._included(path, includes, "after", above):
            merged.merge(part)
        for key, option in includes.items():
            if key not in ("before", "after"):
                text = f"{key} is not read in [INCLUDES]; write its own header above it, such as [Definition]"
                merged.faults.append(Fault(option.file, option.line, text, warning=True))
        return merged

    def _included(
        self, path: Path, includes: ini.Section, key: str, above: tuple[Path, ...]
    ) -> Iterator[ini.Ini]:
        option = includes.get(key)
        for number, line in zip(option.lines, option.value.split("\n"), strict=False) if option else ():
            name = line.strip()
            if not name:
                continue
            if self._taken >= _MOST_FILES or len(above) >= _DEEPEST:
                text = (
                    f"includes more than {_MOST_FILES} files, or {_DEEPEST} deep; name the last of them only"
                )
                yield ini.Ini(faults=[Fault(str(path), number, text, stops=True)])
                return
            # A filter may include what another layer has, such as Fail2Ban's own common.conf.
            folders = list(dict.fromkeys((path.parent, *(d / path.parent.name for d in self._directories))))
            target = next((f / name for f in folders if is_file(f / name)), None)
            if target is None:
                if not name.endswith(".local"):
                    yield self._missing(name, folders, path, number)
                continue
            for one in (target, target.with_name(f"{target.stem}.local")):
                # Circles are cut; no circle is longer than the whole.
                if (
                    is_file(one)
                    and self._taken < _MOST_FILES
                    and one.resolve() not in (*above, path.resolve())
                ):
                    yield self.file(one, (*above, path.resolve()))

    def _missing(self, name: str, folders: list[Path], path: Path, line: int) -> ini.Ini:
        """An include that no folder has: a warning, for Fail2Ban passes over it without a word."""
        if name not in self._cures:
            # Whoever includes so many files that are not there has no use for hints.
            self._cures[name] = _cure(name, folders) if len(self._cures) < _MOST_CURES else ""
        text = f"{name[:80]} is not there; looked in {', '.join(map(str, folders))}{self._cures[name]}"
        return ini.Ini(faults=[Fault(str(path), line, text, warning=True)])


def _referred(own: ini.Ini) -> ini.Section:
    """What a file includes: `before = paths-%(system)s.conf` names an option of its own `[DEFAULT]`."""
    values = Values(own, "INCLUDES")
    found: ini.Section = {}
    for key, option in own.sections.pop("INCLUDES", {}).items():
        try:
            found[key] = ini.Option(values.get(key) or "", option.file, option.lines)
        except LostReferenceError as error:
            own.faults.append(Fault(option.file, option.line, error.message, warning=True))
    return found


def _cure(name: str, folders: list[Path]) -> str:
    """The name that an include was meant to have, as the end of a sentence."""
    there = {p.name for folder in folders if folder.is_dir() for p in folder.glob("*.conf")}
    return f"; did you mean {name}.conf?" if f"{name}.conf" in there else hints.near(name, sorted(there))


def is_file(path: Path) -> bool:
    """A name that no file can have is no file."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _parsed(path: Path) -> ini.Ini:
    """One file, whatever its encoding: an ignoreip must not be lost for an umlaut."""
    name = str(path)
    try:
        if path.stat().st_size > _LARGEST:
            return ini.Ini(faults=[Fault(name, 1, f"is larger than {_LARGEST >> 20} MiB: no configuration")])
        raw = path.read_bytes()
    except OSError as error:
        return ini.Ini(faults=[Fault(name, 1, f"cannot be read: {error.strerror}")])
    text, doubt = decoded(raw)
    own = ini.parse(text, name)
    if doubt:
        own.faults.append(Fault(name, _first_odd(raw), doubt, warning=True))
    return own


def _first_odd(raw: bytes) -> int:
    """The line of the first byte that is no UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return 1 if raw.startswith(_MARKS) else raw.count(b"\n", 0, error.start) + 1
    return 1
