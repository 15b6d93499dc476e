"""The program `zmban` with its periodic work every second, so that a test need not wait an hour for an alert.

The variable FORGETFUL=1 gives it a kernel that accepts routes of bans and forgets them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from sidecar.app.enforce import verifier
from sidecar.app.enforce.proof import CANARY
from sidecar.app.periodic import Periodic, Work
from sidecar.cli import main
from sidecar.kernel.backend import Entry
from sidecar.kernel.route.route_backend import RouteBackend
from sidecar.network import Network

_MOST = 1.0


class _Quick(Periodic):
    def every(self, seconds: float, name: str, work: Work, *, at_once: bool = False) -> None:
        super().every(min(seconds, _MOST), name, work, at_once=at_once)


class _Forgetful(RouteBackend):
    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        kept = [network for network in networks if entry is not Entry.BAN or network == CANARY]
        return super().write(entry, kept)


def _quick() -> None:
    from sidecar.app import bootstrap
    from sidecar.kernel import registry

    vars(bootstrap)["Periodic"] = _Quick
    verifier._SECONDS = _MOST
    if os.environ.get("FORGETFUL"):
        registry.BACKENDS["route"] = _Forgetful


if __name__ == "__main__":
    _quick()
    # `Running` puts the program that it would run behind this file.
    del sys.argv[1]
    main()
