"""Why an active ban is not enforced at the moment."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.app.protect.allow_list import AllowList, allowed_because
from sidecar.app.protect.protection import Protection
from sidecar.bans.register import BanRegister
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.model import Ban


class SuspensionReasons:
    """Checks the allow list, the guard and the suspected proxies, in this order."""

    def __init__(
        self,
        register: BanRegister,
        allow_list: AllowList,
        protection: Protection,
        suspects: SuspectedProxies,
    ) -> None:
        self._register, self._allow_list = register, allow_list
        self._protection, self._suspects = protection, suspects

    def ask(self) -> Callable[[Ban], str | None]:
        """A function that returns the reason for a ban at this moment, None if the ban is enforced."""
        table, allowed = self._register.table, list(self._allow_list)
        guard, suspects = self._protection.guard, self._suspects.networks()

        def why(ban: Ban) -> str | None:
            if not table.rests(ban.network, ban.jail):
                return None
            if allowing := allowed_because(allowed, ban.network):
                return allowing
            reason = guard.refuse(ban.network)
            if reason is None and suspects.covering(ban.network) is not None:
                reason = "untrusted-proxy"
            return f"protected: {reason}" if reason else f"ignored by {ban.jail}"

        return why
