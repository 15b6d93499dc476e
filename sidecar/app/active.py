"""The configuration in force: the single owner of settings and jails while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo

from sidecar.configuration.loading import Loaded, host_zone
from sidecar.fail2ban.jails import JailSpec
from sidecar.settings import Settings


class ActiveConfiguration:
    """The configuration that was loaded last, and what of it is in force: `settings`, `jails` and `zone`, the
    time zone of the host. Only a reload, the ignore lists and the switches of dry run change it.

    All jails have dry_run in a dry run of the service, else as switched at run time, else as configured.
    """

    def __init__(self, loaded: Loaded, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.zone: tzinfo = host_zone()
        self._jails: dict[str, JailSpec] = {}
        self._switched: dict[str, bool] = {}
        self.take_over(loaded, loaded.settings, loaded.jails.jails)

    def take_over(self, loaded: Loaded, settings: Settings, jails: Mapping[str, JailSpec]) -> None:
        """Put a new configuration in force."""
        self.loaded, self.settings = loaded, settings
        self._jails.clear()
        self._jails.update(jails)
        self._apply_switches()

    @property
    def jails(self) -> Mapping[str, JailSpec]:
        """The running jails by name. Always the same mapping object, which reflects every change."""
        return self._jails

    def ignore(self, jails: Mapping[str, JailSpec]) -> bool:
        """Take over the resolved names and files of `ignoreip` from these jails. Returns whether anything
        changed."""
        before = dict(self._jails)
        for name, jail in jails.items():
            self._jails[name] = replace(before[name], ignoreip=jail.ignoreip)
        return self._jails != before

    @property
    def switched(self) -> Mapping[str, bool]:
        """Dry run as switched at run time, also of jails that do not exist now."""
        return self._switched

    def switch(self, switches: Mapping[str, bool]) -> None:
        """Set all switches of dry run."""
        self._switched = dict(switches)
        self._apply_switches()

    def faulty(self, jail: str) -> str | None:
        """The fault of a jail that is a dry run until it is mended; None if there is none."""
        found = self.loaded.jails
        if jail not in found.degraded or not found.jails[jail].dry_run:
            return None
        return next(str(one) for one in found.faults if one.jail == jail and not one.warning)

    def without_effect(self) -> list[str]:
        """One sentence for each switch of dry run that has no effect now."""
        found: list[str] = []
        for name, dry_run in sorted(self._switched.items()):
            what = f"dry run of {name} is switched {'on' if dry_run else 'off'}"
            if name not in self._jails:
                found.append(f"{what}, but there is no such jail; zmban dry-run {name} default forgets it")
            elif not dry_run and (fault := self.faulty(name)):
                found.append(f"{what}, but the jail bans nobody until this is mended: {fault}")
        return found

    def _apply_switches(self) -> None:
        for name, jail in self._jails.items():
            configured = self.loaded.jails.jails[name].dry_run
            wanted = self._switched.get(name, configured) or self.faulty(name) is not None
            self._jails[name] = replace(jail, dry_run=self.dry_run or wanted)
