"""The configuration in force: the single owner of settings and jails while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo

from sidecar.configuration.loading import Loaded, host_zone
from sidecar.fail2ban.jails import JailSpec
from sidecar.settings import Settings


class ActiveConfiguration:
    """The configuration that was loaded last, and what of it is in force: `settings`, `jails` (all with
    dry_run in a dry run) and `zone`, the time zone of the host. Only a reload and the ignore lists change
    it."""

    def __init__(self, loaded: Loaded, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self.zone: tzinfo = host_zone()
        self._jails: dict[str, JailSpec] = {}
        self.take_over(loaded, loaded.settings, self.dry(loaded.jails.jails))

    def dry(self, jails: Mapping[str, JailSpec]) -> dict[str, JailSpec]:
        """The jails, with dry_run set if the whole service is a dry run."""
        if not self._dry_run:
            return dict(jails)
        return {name: replace(jail, dry_run=True) for name, jail in jails.items()}

    def take_over(self, loaded: Loaded, settings: Settings, jails: Mapping[str, JailSpec]) -> None:
        """Put a new configuration in force."""
        self.loaded, self.settings = loaded, settings
        self._jails.clear()
        self._jails.update(jails)

    @property
    def jails(self) -> Mapping[str, JailSpec]:
        """The running jails by name. Always the same mapping object, which reflects every change."""
        return self._jails

    def ignore(self, jails: Mapping[str, JailSpec]) -> bool:
        """Replace jails by those with resolved names and files of `ignoreip`. Returns whether anything
        changed."""
        changed = any(self._jails[name] != jail for name, jail in jails.items())
        self._jails |= jails
        return changed
