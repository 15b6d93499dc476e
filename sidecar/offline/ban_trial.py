"""`zmban self-test`: bans an address that no host has, asks the kernel whether it is refused, unbans it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar.kernel import registry
from sidecar.kernel.backend import BanBackend
from sidecar.model import KernelError, Seconds
from sidecar.network import Network
from sidecar.serve import control
from sidecar.settings import KernelSettings

# If the test dies between ban and unban, the ban ends by itself after this time.
LASTS: Seconds = 120.0
# How long the kernel may take to follow the service.
_PATIENCE: Seconds = 5.0
_PAUSE: Seconds = 0.05
_REASON = "zmban self-test"


def run(socket: Path, kernel: KernelSettings, network: Network) -> dict[str, Any]:
    """Ban `network`, look it up in the kernel, unban it, look it up again. Returns the record of the command:
    `{"network", "dry", "refused_after", "reachable_after"}`, in seconds; the last two are None in a dry run.

    KernelError if the kernel does not follow the service, or if the service does not enforce bans;
    RefusedError of the service. The ban is lifted in any case.
    """
    status = _asked(socket, "status")
    dry = bool(status["dry_run"])
    if not (dry or status["enforced"]):
        raise KernelError(f"bans are not enforced: {'; '.join(status['not_enforced_because'])}")
    with contextlib.closing(registry.make(kernel)) as backend:
        _must_be_free(socket, backend, network)
        try:
            refused = _banned(socket, backend, network, dry=dry)
        finally:
            _asked(socket, "unban", networks=[str(network)], jail=None)
        reachable = None if dry else _seconds_until(lambda: not backend.refuses(network))
        if not dry and reachable is None:
            raise KernelError(f"{network} is unbanned, but the kernel still refuses it; see zmban status")
    return {"network": str(network), "dry": dry, "refused_after": refused, "reachable_after": reachable}


def _must_be_free(socket: Path, backend: BanBackend, network: Network) -> None:
    """KernelError if the network is banned already: the test would lift a ban that is not its own, or prove
    nothing."""
    bans = _asked(socket, "bans", jail=None, contains=str(network), lines=False)["bans"]
    if bans or backend.refuses(network):
        raise KernelError(
            f"{network} is refused already, so the test would prove nothing; name another address"
        )


def _banned(socket: Path, backend: BanBackend, network: Network, *, dry: bool) -> Seconds | None:
    """Ban, and wait for the kernel. Returns the seconds, None in a dry run."""
    until = time.time() + LASTS
    (answer,) = _asked(socket, "ban", networks=[str(network)], reason=_REASON, until=until, yes=True)
    if answer["result"] == "refused":
        raise KernelError(f"{network} was not banned: {answer['reason']}; name another address")
    if dry:
        return None
    refused = _seconds_until(lambda: backend.refuses(network))
    if refused is None:
        raise KernelError(f"{network} is banned, but the kernel does not refuse it; see zmban status")
    (record, *_) = _asked(socket, "bans", jail=None, contains=str(network), lines=False)["bans"]
    if not record["enforced"]:
        raise KernelError(f"{network} is refused, but the service reports that it is not; see zmban status")
    return refused


def _seconds_until(condition: Callable[[], bool]) -> Seconds | None:
    """How long it took until a condition was true; None if it never was."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > _PATIENCE:
            return None
        time.sleep(_PAUSE)
    return round(time.monotonic() - begun, 3)


def _asked(socket: Path, command: str, **arguments: Any) -> Any:
    answer = control.ask(socket, command, **arguments)
    if answer is None:
        raise control.RefusedError(control.why_no_service(socket), 69)
    return answer
