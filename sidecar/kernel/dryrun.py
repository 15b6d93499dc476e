"""A routing table in memory only: `--dry-run` decides and records, and leaves the kernel alone."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from sidecar.kernel.codec import RouteKind
from sidecar.kernel.plan import Applied, Difference, Keep, difference
from sidecar.kernel.reading import Routes
from sidecar.network import Network


class DryRunTable:
    """The interface of RoutingTable (an own table, both families) without a kernel; it starts empty."""

    versions = (4, 6)
    knows_throw = True
    port = table = 0

    def __init__(self) -> None:
        self._routes: dict[Network, RouteKind] = {}
        self._rules: set[int] = set()

    def close(self) -> None:
        """Nothing to give back."""

    def can_write(self) -> bool:
        """Always: memory needs no capability."""
        return True

    def present(self) -> dict[Network, RouteKind]:
        """What would stand in the kernel."""
        return dict(self._routes)

    def differs(self, wanted: Routes) -> Difference:
        """What would have to be written."""
        return difference(wanted, self._routes)

    def reconcile(self, wanted: Routes, keep: Keep | None = None) -> Applied:
        """Remember `wanted`, and say what would have been written."""
        change = self.differs(wanted)
        self._routes = dict(wanted)
        return Applied(added=len(change.add), removed=len(change.remove))

    def add(self, network: Network, kind: RouteKind = RouteKind.BLACKHOLE) -> None:
        """Remember one route."""
        self._routes[network] = kind

    def remove(self, network: Network) -> None:
        """Forget the route on exactly this prefix."""
        self._routes.pop(network, None)

    def write(self, kind: RouteKind, networks: Sequence[Network]) -> dict[Network, int]:
        """Remember these; EEXIST for each that has a route."""
        codes = {network: errno.EEXIST for network in networks if network in self._routes}
        self._routes.update((network, kind) for network in networks if network not in codes)
        return codes

    def erase(self, kind: RouteKind, networks: Sequence[Network]) -> dict[Network, int]:
        """Forget these of this kind; ESRCH for each that had no such route."""
        codes = {network: errno.ESRCH for network in networks if self._routes.get(network) is not kind}
        for network in networks:
            if network not in codes:
                del self._routes[network]
        return codes

    def ensure_rules(self) -> tuple[int, ...]:
        """The families whose rule was missing; none is afterwards."""
        missing = tuple(version for version in self.versions if version not in self._rules)
        self._rules.update(missing)
        return missing

    def rules_present(self) -> tuple[int, ...]:
        """The families whose rule would stand."""
        return tuple(sorted(self._rules))

    def rules_before(self, version: int) -> list[int]:
        """Nobody else writes here."""
        return []

    def reachable(self, network: Network) -> bool:
        """Always: nothing is refused."""
        return True

    def refuses(self, network: Network) -> bool:
        """Never."""
        return False

    def flush(self) -> Applied:
        """Forget everything."""
        self._rules.clear()
        return self.reconcile({})
