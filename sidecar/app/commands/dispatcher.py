"""What people tell a running service, such as ban, unban, allow, status, reload, flush."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import FiniteFloat, ValidationError, validate_call

from sidecar.app.background import run_uncancellable
from sidecar.app.bans import allow_list, importer
from sidecar.app.commands.arguments import Evidence, Reason, Time, kept_with_each, sentence
from sidecar.app.protect import protection
from sidecar.app.reload import Reload
from sidecar.app.report import build_status, explain_address
from sidecar.app.report.ban_list import Listing
from sidecar.app.report.suggestions import covers
from sidecar.app.service import Service
from sidecar.model import Ban, Event, Unban
from sidecar.network import Network
from sidecar.serve.control import RefusedError
from sidecar.store.database import Allowed, Forgotten

MANUAL = "manual"


class ControlCommands:
    """The commands of the control socket, by name. An answer comes after its commit."""

    def __init__(self, service: Service) -> None:
        self._service, self._reload = service, Reload(service)
        self._one_import = asyncio.Lock()
        self._listing = Listing(service)

    async def handle(self, command: str, arguments: dict[str, Any]) -> Any:
        """Run one command. ValueError and ZmbanError carry the sentence for the caller."""
        commands: dict[str, Callable[..., Awaitable[Any]]] = {
            "ban": self.ban,
            "unban": self.unban,
            "allow": self.allow,
            "disallow": self.disallow,
            "bans": self.bans,
            "import": self.import_,
            "status": self.status,
            "explain": self.explain,
            "flush": self.flush,
            "resume": self.resume,
            "reload": self.reload,
        }
        if command not in commands:
            raise ValueError(f"{command} is no command of this service")
        # Whoever writes to the socket by hand is told what is wrong, instead of breaking the service later.
        try:
            return await validate_call(commands[command])(**arguments)
        except ValidationError as error:
            raise ValueError(sentence(error)) from error

    async def ban(
        self,
        networks: list[str],
        reason: Reason,
        until: Time | None = None,
        evidence: Evidence | None = None,
        force: bool = False,
    ) -> list[dict[str, Any]]:
        """Ban by hand, with the lines that led to it; with `force` also what is wider than may be."""
        service, now = self._service, time.time()
        kept_with_each(evidence or (), networks)
        events: list[Event] = []

        def one(network: Network) -> dict[str, Any]:
            refusal = service.judge.guard.refuse(network)
            if network in service.enforcer.throws:
                refusal = refusal or "kept-reachable"
            preview = {"covers": covers(service, network)} if refusal == "too-wide" else {}
            if refusal and not (force and preview):
                return {"result": "refused", "reason": refusal, **preview}
            lines = tuple(evidence or ())
            ban = Ban(network, MANUAL, now, until, "manual", reason, 0, lines, dry=service.place.dry_run)
            event = service.table.ban(ban)
            if event is not None:
                events.append(event)
            result = "standing" if event is None else "banned" if isinstance(event, Ban) else "extended"
            return {"result": result, "reason": reason, **preview}

        answers = _each(networks, one)
        service.publish(events)
        await self._written()
        return answers

    async def _written(self) -> None:
        """An answer comes when the kernel and the database have it."""
        await self._service.settled()
        failed = await self._service.ledger.commit()
        if failed:
            raise RefusedError(f"done, but not written down: {failed}", 69)

    async def unban(self, networks: list[str], jail: str | None = None) -> list[dict[str, Any]]:
        """Lift, and forget the failures inside in every window."""
        service = self._service

        def one(network: Network) -> dict[str, Any]:
            lifted = self._lift(network, jail)
            service.ledger.add([Forgotten(meant, jail) for meant in service.judge.forget(network, jail)])
            service.publish(lifted)
            wider = [str(b.network) for b in service.table.over(network)]
            return {"result": "unbanned" if lifted else "not-banned", "still_covered_by": wider}

        answers = _each(networks, one)
        await self._written()
        return answers

    def _lift(self, network: Network, jail: str | None) -> list[Unban]:
        """The bans of this network; of an address, also the ban of the prefix that was banned for it."""
        service, now = self._service, time.time()
        lifted = service.table.lift(network, now, MANUAL, jail)
        if not lifted and network.single:
            for ban in service.table.over(network):
                if ban.origin == "log" and jail in (None, ban.jail):
                    lifted += service.table.lift(ban.network, now, MANUAL, ban.jail)
        return lifted

    async def allow(
        self, networks: list[str], reason: Reason, until: Time | None = None, force: bool = False
    ) -> list[dict[str, Any]]:
        """Never ban these until then, with `force` also what is wider than may be banned; the bans inside are
        not enforced as long."""
        service, now = self._service, time.time()
        widest = service.judge.guard.widest

        def one(network: Network) -> dict[str, Any]:
            wide = network.length < widest[network.version]
            covered = {"covers": allow_list.preview(service, network)} if wide else {}
            if wide and not force:
                return {"result": "refused", "reason": "too-wide", **covered}
            allowed = service.allowed[network] = Allowed(network, now, until, reason)
            service.ledger.add([allowed])
            return {"result": "allowed", "suspended": allow_list.bans_inside(service, network), **covered}

        answers = _each(networks, one)
        await self._protected_anew()
        return answers

    async def disallow(self, networks: list[str]) -> list[dict[str, Any]]:
        """End what `allow` began; the bans inside are enforced again."""
        service = self._service

        def one(network: Network) -> dict[str, Any]:
            known = service.allowed.pop(network, None) is not None
            if known:
                service.ledger.add([Allowed(network, 0.0, 0.0, "ended")])
            wider = allow_list.still_allowed(service, network)
            return {"result": "disallowed" if known else "not-allowed", "still_covered_by": wider}

        answers = _each(networks, one)
        await self._protected_anew()
        for answer in answers:
            if answer["result"] == "disallowed":
                answer["enforced"] = allow_list.enforced_inside(service, Network.parse(answer["network"]))
        return answers

    async def _protected_anew(self) -> None:
        protection.protect(self._service)
        await self._service.ledger.commit()
        await self._service.reconcile()
        await self._written()

    async def bans(
        self,
        jail: str | None = None,
        contains: str | None = None,
        after: int = 0,
        asked: FiniteFloat | None = None,
        lines: bool = True,
    ) -> dict[str, Any]:
        """A page of the bans that stand, see `Listing.page`."""
        return await self._listing.page(jail, contains, after, asked, lines=lines)

    async def import_(self, records: importer.Records) -> dict[str, Any]:
        """Take over bans that somebody else decided; one request after the other, or both would count."""
        async with self._one_import:
            answer = await importer.take(self._service, records)
            await self._written()
        return answer

    async def flush(self) -> dict[str, Any]:
        """The emergency exit: everything of ours out of the kernel, until resume."""
        removed = await run_uncancellable(self._service.enforcer.suspend)
        await self._service.verifier.verify()
        return {"result": "suspended", "removed": removed}

    async def resume(self) -> dict[str, Any]:
        """Write again what stands in the ban table."""
        self._service.enforcer.resume()
        written = await self._service.reconcile()
        await self._service.drift.keep_ingress()
        await self._service.verifier.verify()
        return {"result": "resumed", "written": written}

    async def reload(self, lift: bool = False) -> dict[str, Any]:
        """Take over the configuration as it is written now, whole or not at all; with `lift` lift the bans of
        jails that are gone."""
        answer = await self._reload.reload(lift=lift)
        await self._written()
        return answer

    async def explain(self, subject: str) -> dict[str, Any]:
        """Why an address, a network or an account is or is not banned."""
        return await explain_address.explain(self._service, subject)

    async def status(self) -> dict[str, Any]:
        """State of jails, sources and kernel."""
        return await build_status.of(self._service)


def _each(texts: Iterable[str], act: Callable[[Network], dict[str, Any]]) -> list[dict[str, Any]]:
    """One answer for each network that was named; text that is none is refused, and the rest goes on."""
    answers: list[dict[str, Any]] = []
    for text in texts:
        try:
            network = Network.parse(text)
        except ValueError:
            answers.append({"network": text, "result": "refused", "reason": "not-a-network"})
            continue
        answers.append({"network": str(network), **act(network)})
    return answers
