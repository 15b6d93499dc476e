"""Reads the files of a jail configuration or a filter, in Fail2Ban's order. The only disk access of this
room."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from sidecar.fail2ban.syntax import hints, ini
from sidecar.fail2ban.syntax.interpolation import LostReferenceError, Values
from sidecar.file_text import decoded
from sidecar.model import Fault

# Limits against include loops and files that are no configuration.
_MOST_FILES = 500
_DEEPEST = 20
_MOST_CURES = 20
_LARGEST = 8 << 20
# The longest name that file systems accept, with a suffix.
_LONGEST_NAME = 200
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class ConfigFiles:
    """Reads Fail2Ban's files from several directories; a later directory overrides an earlier one."""

    def __init__(self, directories: list[Path]) -> None:
        self.directories = directories

    @property
    def directory(self) -> str:
        """The topmost directory, for `%(fail2ban_confpath)s`."""
        return str(self.directories[-1]) if self.directories else ""

    def jails(self) -> ini.Ini:
        """`jail.conf`, `jail.d/*.conf`, `jail.local`, `jail.d/*.local` of every directory, merged."""
        merged = self._merged("jail")[0]
        merged.faults += self._unread()
        return merged

    def filter(self, name: str) -> ini.Ini | None:
        """`filter.d/NAME.conf` and its overrides, merged; None if no directory has it."""
        merged, found = self._merged(f"filter.d/{name}")
        return merged if found else None

    def action(self, name: str) -> ini.Ini | None:
        """`action.d/NAME.conf` and its overrides, merged; None if no directory has it."""
        merged, found = self._merged(f"action.d/{name}")
        return merged if found else None

    def without_ending(self, name: str) -> Path | None:
        """The file of filter NAME that was saved without the suffix .conf, if any."""
        for directory in self.directories:
            for wrong in (name, f"{name}.txt", f"{name}.conf.txt"):
                path = directory / "filter.d" / wrong
                if is_file(path) and path.suffix not in (".conf", ".local"):
                    return path
        return None

    def instead_of(self, name: str) -> Path | None:
        """A directory in place of the file of filter NAME, if any."""
        paths = [d / "filter.d" / f"{name}.conf" for d in self.directories]
        return next(
            (path for path in paths if path.parent.is_dir() and path in path.parent.glob("*.conf")), None
        )

    @staticmethod
    def listed(path: str) -> str | None:
        """The text of a file named in `ignoreip`; None if it is not a regular file or cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).is_file() else None
        except (OSError, ValueError):
            return None

    def alone(self, path: Path) -> ini.Ini:
        """The file at `path`, with its includes."""
        merged = _Reading(self.directories).file(path)
        merged.sections.pop("INCLUDES", None)
        return merged

    def filter_names(self) -> list[str]:
        """The names of all filters, without the common includes."""
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
                        "is a directory (Docker creates one if a mounted file is missing); "
                        "replace it by the file"
                    )
                    merged.faults.append(Fault(str(path), 1, text, warning=True))
        merged.sections.pop("INCLUDES", None)
        return merged, found

    def _unread(self) -> Iterator[Fault]:
        """A warning for each file in jail.d that is not read because of its name, such as jail.d/zimbra."""
        for directory in self.directories:
            for path in sorted((directory / "jail.d").glob("*")):
                forgotten = not path.suffix or path.name.endswith((".conf.txt", ".local.txt"))
                if forgotten and path.is_file() and not path.name.startswith((".", "README")):
                    text = f"is not read; rename it to {path.name.partition('.')[0]}.local"
                    yield Fault(str(path), 1, text, warning=True)


class _Reading:
    """Reads files with their includes, and limits their number."""

    def __init__(self, directories: list[Path]) -> None:
        self._directories = directories
        self._taken = 0
        self._cures: dict[str, str] = {}

    def file(self, path: Path, above: tuple[Path, ...] = ()) -> ini.Ini:
        """One file, merged with its `before` and `after` includes. `above` are the including files."""
        self._taken += 1
        own = _parsed(path)
        includes = _includes(own)
        merged = ini.Ini()
        for part in (*self._included(path, includes, "before", above), own):
            merged.merge(part)
        for part in self._included(path, includes, "after", above):
            merged.merge(part)
        for key, option in includes.items():
            if key not in ("before", "after"):
                text = f"{key} is not read in [INCLUDES]; write a header such as [Definition] above it"
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
                    f"includes more than {_MOST_FILES} files, or nests more than {_DEEPEST} deep; "
                    "include fewer files"
                )
                yield ini.Ini(faults=[Fault(str(path), number, text, stops=True)])
                return
            # A filter may include a file of another layer, such as Fail2Ban's common.conf.
            folders = list(dict.fromkeys((path.parent, *(d / path.parent.name for d in self._directories))))
            target = next((f / name for f in folders if is_file(f / name)), None)
            if target is None:
                if not name.endswith(".local"):
                    yield self._missing(name, folders, path, number)
                continue
            for one in (target, target.with_name(f"{target.stem}.local")):
                # Include loops are cut.
                if (
                    is_file(one)
                    and self._taken < _MOST_FILES
                    and one.resolve() not in (*above, path.resolve())
                ):
                    yield self.file(one, (*above, path.resolve()))

    def _missing(self, name: str, folders: list[Path], path: Path, line: int) -> ini.Ini:
        """A missing include: only a warning, since Fail2Ban silently ignores it."""
        if name not in self._cures:
            # With more missing files than this, computing suggestions is not worth the time.
            self._cures[name] = _cure(name, folders) if len(self._cures) < _MOST_CURES else ""
        text = f"include {name[:80]} not found; looked in {', '.join(map(str, folders))}{self._cures[name]}"
        return ini.Ini(faults=[Fault(str(path), line, text, warning=True)])


def _includes(own: ini.Ini) -> ini.Section:
    """The resolved [INCLUDES] of a file; its references may name options of the file's own `[DEFAULT]`."""
    values = Values(own, "INCLUDES")
    found: ini.Section = {}
    for key, option in own.sections.pop("INCLUDES", {}).items():
        try:
            found[key] = ini.Option(values.get(key) or "", option.file, option.lines)
        except LostReferenceError as error:
            own.faults.append(Fault(option.file, option.line, error.message, warning=True))
    return found


def _cure(name: str, folders: list[Path]) -> str:
    """A suggestion for a missing include, as the end of a sentence."""
    there = {p.name for folder in folders if folder.is_dir() for p in folder.glob("*.conf")}
    return f"; did you mean {name}.conf?" if f"{name}.conf" in there else hints.near(name, sorted(there))


def is_file(path: Path) -> bool:
    """As Path.is_file, but False for invalid names."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _parsed(path: Path) -> ini.Ini:
    """Read and parse one file of any encoding; an unreadable file is a fault."""
    name = str(path)
    try:
        if path.stat().st_size > _LARGEST:
            text = f"is larger than {_LARGEST >> 20} MiB and is not read; split the file"
            return ini.Ini(faults=[Fault(name, 1, text)])
        raw = path.read_bytes()
    except OSError as error:
        return ini.Ini(faults=[Fault(name, 1, f"cannot be read: {error.strerror}")])
    text, doubt = decoded(raw)
    own = ini.parse(text, name)
    if doubt:
        own.faults.append(Fault(name, _first_non_utf8(raw), doubt, warning=True))
    return own


def _first_non_utf8(raw: bytes) -> int:
    """The number of the first line that is not UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return 1 if raw.startswith(_MARKS) else raw.count(b"\n", 0, error.start) + 1
    return 1
