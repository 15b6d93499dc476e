"""The commands for the whole service: bans, import, status, explain, flush, resume, reload."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import FiniteFloat, StringConstraints

from sidecar.app.bans.importer import Importer
from sidecar.app.commands.confirmation import Confirmation
from sidecar.app.config_reload import Reload
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.verifier import Verifier
from sidecar.app.live.event_feed import EventFeed
from sidecar.app.live.rates import Rates
from sidecar.app.report.ban_list import BanListing
from sidecar.app.report.build_status import StatusBuilder
from sidecar.app.report.explain_address import AddressExplainer
from sidecar.offline.import_decisions import Records
from sidecar.threads import run_uncancellable

Position = Annotated[str, StringConstraints(max_length=64)]


class ServiceCommands:
    """Answers are sent after the commit."""

    def __init__(
        self,
        ban_list: BanListing,
        importer: Importer,
        status: StatusBuilder,
        explainer: AddressExplainer,
        reload: Reload,
        enforcer: Enforcer,
        verifier: Verifier,
        feed: EventFeed,
        rates: Rates,
        confirmation: Confirmation,
    ) -> None:
        self._ban_list, self._importer, self._status = ban_list, importer, status
        self._explainer, self._reload, self._enforcer = explainer, reload, enforcer
        self._verifier, self._feed, self._rates = verifier, feed, rates
        self._confirmation = confirmation

    async def bans(
        self,
        jail: str | None = None,
        contains: str | None = None,
        after: int = 0,
        asked: FiniteFloat | None = None,
        lines: bool = True,
    ) -> dict[str, Any]:
        """One page of the active bans, see `BanListing.page`."""
        return await self._ban_list.page(jail, contains, after, asked, lines=lines)

    async def import_(self, records: Records) -> dict[str, Any]:
        """Import bans of other programs."""
        answer = await self._importer.take(records)
        await self._confirmation.written()
        return answer

    async def status(self) -> dict[str, Any]:
        """State of jails, sources and kernel."""
        return await self._status.build()

    async def live(self, after: Position = "") -> dict[str, Any]:
        """The events behind a position of an earlier answer, and the rates. `lost`: some events between are
        not known any more. Reads memory only."""
        missed = self._feed.after(after or None)
        return {
            "position": missed.position,
            "lost": missed.lost,
            "events": [told.record() for told in missed.events],
            "bans": self._rates.bans,
            "failures": self._rates.failures,
            "rates": self._rates.curves(),
            "status": await self._status.build(verify=False),
        }

    async def explain(self, subject: str) -> dict[str, Any]:
        """Why an address, a network or an account is or is not banned."""
        return await self._explainer.explain(subject)

    async def flush(self) -> dict[str, Any]:
        """Remove all entries of zmban from the kernel until `resume`."""
        removed = await run_uncancellable(self._enforcer.suspend)
        await self._verifier.verify()
        return {"result": "suspended", "removed": removed}

    async def resume(self) -> dict[str, Any]:
        """Write the bans of the table into the kernel again."""
        self._enforcer.resume()
        written = await self._enforcer.reconcile()
        await self._enforcer.keep_ingress()
        await self._verifier.verify()
        return {"result": "resumed", "written": written}

    async def reload(self, lift: bool = False) -> dict[str, Any]:
        """Reload the configuration, as a whole or not at all; with `lift` also lift the bans of removed
        jails."""
        answer = await self._reload.reload(lift=lift)
        await self._confirmation.written()
        return answer
