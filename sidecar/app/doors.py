"""The second part of the composition root: control socket and HTTP pages. Their libraries are imported after
the first reconcile, so that no route waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.app.bans.importer import Importer
from sidecar.app.bootstrap import Components
from sidecar.app.commands.confirmation import Confirmation
from sidecar.app.commands.dispatcher import Command, ControlCommands
from sidecar.app.commands.networks import NetworkCommands
from sidecar.app.commands.service_commands import ServiceCommands
from sidecar.app.commands.store_commands import StoreCommands
from sidecar.app.report.ban_list import BanListing
from sidecar.app.report.build_status import StatusBuilder
from sidecar.app.report.explain_address import AddressExplainer
from sidecar.app.report.http_pages import HttpPages
from sidecar.app.report.suggestions import BanPreview
from sidecar.app.report.suspension_reasons import SuspensionReasons
from sidecar.serve.control import Control
from sidecar.serve.http import Answers


@contextmanager
def opened(parts: Components, socket: Path, listen: str | None) -> Iterator[None]:
    """Serve commands and pages inside this context."""
    serving = parts.active.settings.serve
    answers = Answers(parts.metrics.text, parts.not_ready)
    addresses = [one for one in (listen or serving.listen, serving.metrics) if one]
    pages = HttpPages(answers, addresses, serving.names)
    control = Control(socket, ControlCommands(commands(parts, pages)).handle)
    parts.periodic.every(10.0, "listen", pages.look, at_once=True)
    try:
        yield
    finally:
        pages.close()
        control.close()


def commands(parts: Components, pages: HttpPages | None = None) -> dict[str, Command]:
    """All commands of the control socket."""
    engine, suspects = parts.memory.engine, parts.memory.suspects
    confirmation = Confirmation(parts.commit_queue, parts.background)
    preview = BanPreview(engine, parts.enforcer)
    networks = NetworkCommands(
        parts.options, engine, parts.bus, parts.allow_list, parts.protection, parts.enforcer,
        parts.commit_queue, preview, confirmation,
    )  # fmt: skip
    status = StatusBuilder(
        parts.options, parts.active, engine, parts.enforcer, parts.verifier, parts.logs, parts.allow_list,
        suspects, parts.refusals, parts.store_health, preview, parts.started, parts.not_ready,
        lambda: pages.faults if pages else (),
    )  # fmt: skip
    suspensions = SuspensionReasons(engine.register, parts.allow_list, parts.protection, suspects)
    service = ServiceCommands(
        BanListing(engine.register, parts.commit_queue, parts.enforcer, suspensions),
        Importer(
            parts.options, parts.active, engine.register, parts.protection, parts.commit_queue, parts.bus
        ),
        status,
        AddressExplainer(engine, parts.commit_queue, parts.protection, parts.allow_list, suspects),
        parts.reload, parts.enforcer, parts.verifier, confirmation,
    )  # fmt: skip
    store = StoreCommands(parts.upkeep)
    return {
        "ban": networks.ban,
        "unban": networks.unban,
        "allow": networks.allow,
        "disallow": networks.disallow,
        "bans": service.bans,
        "import": service.import_,
        "status": service.status,
        "explain": service.explain,
        "flush": service.flush,
        "resume": service.resume,
        "reload": service.reload,
        "backup": store.backup,
        "compact": store.compact,
    }
