"""The routes that change something: ban, unban, allow, disallow, dry run. Each names the token that acted."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sidecar.app.api.answers import ActedAnswer, PreviewAnswer, SwitchAnswer
from sidecar.app.commands.dry_run_switches import DryRunSwitches
from sidecar.app.commands.networks import NetworkCommands
from sidecar.model import Instant
from sidecar.network import Network
from sidecar.offline.arguments import Actor, Evidence, Name, Reason, Time
from sidecar.serve.control import RefusedError
from sidecar.serve.web.routing import Access, Call, WebError, WebRoute

# The evidence of a ban fits, with any JSON escapes.
_MOST_BODY = 4 << 20

Text = Annotated[str, StringConstraints(max_length=100)]
Networks = Annotated[list[str], Field(min_length=1, max_length=10_000)]


class ActionRoutes:
    """Calls the commands of the control socket."""

    def __init__(self, networks: NetworkCommands, switches: DryRunSwitches) -> None:
        self._networks, self._switches = networks, switches

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        acting: dict[str, Call] = {
            "/api/ban": self.ban,
            "/api/unban": self.unban,
            "/api/allow": self.allow,
            "/api/disallow": self.disallow,
        }
        return [
            WebRoute("GET", "/api/preview", self.preview, answer=PreviewAnswer),
            WebRoute("POST", "/api/jails/{jail}/dry_run", self.dry_run, Access.ACT, SwitchAnswer),
            *(
                WebRoute("POST", path, call, Access.ACT, ActedAnswer, most=_MOST_BODY)
                for path, call in acting.items()
            ),
        ]

    async def preview(self, network: Text) -> dict[str, Any]:
        """What a ban of a network would cover, why it must not be banned, or why it must be confirmed."""
        (found,) = await self._networks.preview([str(Network.parse(network))])
        return found

    async def dry_run(self, jail: Name, by: Actor, dry_run: bool | None) -> dict[str, Any]:
        """Switch a jail to a dry run or back; null: as configured."""
        try:
            return await self._switches.dry_run(jail, dry_run, by)
        except (ValueError, RefusedError) as error:
            raise WebError(HTTPStatus.CONFLICT, str(error)) from error

    async def ban(
        self,
        networks: Networks,
        reason: Reason,
        by: Actor,
        until: Time | None = None,
        yes: bool = False,
        evidence: Evidence | None = None,
    ) -> dict[str, Any]:
        """Ban networks; `yes` confirms what a preview shows."""
        _check_end(until)
        return {"answers": await self._networks.ban(networks, reason, until, evidence, yes, False, by)}

    async def unban(self, networks: Networks, by: Actor, jail: str | None = None) -> dict[str, Any]:
        """Lift bans, of one jail or of all."""
        return {"answers": await self._networks.unban(networks, jail, by)}

    async def allow(
        self, networks: Networks, reason: Reason, by: Actor, until: Time | None = None, yes: bool = False
    ) -> dict[str, Any]:
        """Exempt networks from bans until then."""
        _check_end(until)
        return {"answers": await self._networks.allow(networks, reason, until, yes, by)}

    async def disallow(self, networks: Networks, by: Actor) -> dict[str, Any]:
        """End such exemptions."""
        return {"answers": await self._networks.disallow(networks, by)}


def _check_end(until: Instant | None) -> None:
    """WebError for an end in the past."""
    if until is not None and until <= time.time():
        text = f"until: {until:.0f} is in the past; give epoch seconds, or null for ever"
        raise WebError(HTTPStatus.BAD_REQUEST, text)
