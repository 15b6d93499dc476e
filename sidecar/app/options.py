"""Where a service works: its directory, its ban list, and whether it only looks on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.fail2ban.jails import JailSpec
from sidecar.kernel.dryrun import DryRunTable
from sidecar.kernel.plan import BanBackend
from sidecar.kernel.routes import RoutingTable
from sidecar.settings import Settings


@dataclass(frozen=True)
class RuntimeOptions:
    """Where this service keeps its state, whether it only looks on, and what is doubtful about its place."""

    state: Path
    dry_run: bool = False
    doubts: tuple[str, ...] = ()


def backend(settings: Settings, *, dry: bool) -> BanBackend:
    """The ban list that the settings name; in a dry run one that only remembers."""
    if dry:
        return DryRunTable()
    return RoutingTable(settings.kernel.table, preference=settings.kernel.preference)


def run_dry(jails: dict[str, JailSpec], *, dry: bool) -> dict[str, JailSpec]:
    """The jails; all of them dry where the service only looks on."""
    return {name: replace(jail, dry_run=True) for name, jail in jails.items()} if dry else dict(jails)
