"""The one door to the disk: which files make up a jail configuration or a filter, in which order."""

from __future__ import annotations

from pathlib import Path

from sidecar.fail2ban import ini
from sidecar.model import Fault


class ConfigFiles:
    """Reads Fail2Ban's files from several directories; a later directory overrides an earlier one."""

    def __init__(self, directories: list[Path]) -> None:
        self.directories = directories

    def jails(self) -> ini.Ini:
        """`jail.conf`, `jail.d/*.conf`, `jail.local`, `jail.d/*.local` of every directory, merged."""
        return self._merged("jail")[0]

    def filter(self, name: str) -> ini.Ini | None:
        """`filter.d/NAME.conf` and what overrides it, merged; None where no directory has it."""
        merged, found = self._merged(f"filter.d/{name}")
        return merged if found else None

    def alone(self, path: Path) -> ini.Ini:
        """One file named by its path, with what it includes."""
        merged = self._read(path, ())
        merged.sections.pop("INCLUDES", None)
        return merged

    def filter_names(self) -> list[str]:
        """All filters that could be named, without the common includes."""
        names = {p.stem for d in self.directories for p in (d / "filter.d").glob("*.conf")}
        names |= {p.stem for d in self.directories for p in (d / "filter.d").glob("*.local")}
        return sorted(n for n in names if not n.endswith("common"))

    def _merged(self, stem: str) -> tuple[ini.Ini, bool]:
        merged, found = ini.Ini(), False
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
                if path.is_file():
                    found = True
                    merged.merge(self._read(path, ()))
        merged.sections.pop("INCLUDES", None)
        return merged, found

    def _read(self, path: Path, above: tuple[Path, ...]) -> ini.Ini:
        """One file with everything that it includes before and after itself."""
        own = self._parsed(path)
        includes = own.sections.pop("INCLUDES", {})
        merged = ini.Ini()
        for part in (*self._included(path, includes, "before", above), own):
            merged.merge(part)
        for part in self._included(path, includes, "after", above):
            merged.merge(part)
        return merged

    def _parsed(self, path: Path) -> ini.Ini:
        """One file. What is no UTF-8 is read as Latin-1: an ignoreip must not be lost for an umlaut."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            broken = ini.Ini()
            broken.faults.append(Fault(str(path), 1, f"cannot be read: {error.strerror}"))
            return broken
        try:
            return ini.parse(raw.decode("utf-8-sig"), str(path))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            own = ini.parse(raw.decode("latin-1"), str(path))
            own.faults.append(Fault(str(path), line, "is not UTF-8; read as Latin-1", warning=True))
            return own

    def _included(
        self, path: Path, includes: ini.Section, key: str, above: tuple[Path, ...]
    ) -> list[ini.Ini]:
        option = includes.get(key)
        parts: list[ini.Ini] = []
        if option is None:
            return parts
        for name in option.value.split("\n"):
            if not name.strip():
                continue
            # A filter may include what another layer has, such as Fail2Ban's own common.conf.
            folders = [path.parent, *(d / path.parent.name for d in self.directories)]
            target = next((f / name.strip() for f in folders if (f / name.strip()).is_file()), None)
            if target is None:
                if not name.strip().endswith(".local"):
                    missing = ini.Ini()
                    places = ", ".join(map(str, dict.fromkeys(folders)))
                    text = f"{name.strip()} is not there; looked in {places}"
                    missing.faults.append(Fault(option.file, option.line, text, warning=True))
                    parts.append(missing)
                continue
            for one in (target, target.with_name(f"{target.stem}.local")):
                if one.is_file() and one.resolve() not in (*above, path.resolve()):
                    parts.append(self._read(one, (*above, path.resolve())))
        return parts
