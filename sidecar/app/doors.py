"""The second part of the composition root: control socket, HTTP API and page, and the courier of messages.
Their libraries are imported after the first reconcile, so that no route waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.app.api.action_routes import ActionRoutes
from sidecar.app.api.api_routes import ApiRoutes
from sidecar.app.api.ban_routes import BanRoutes
from sidecar.app.api.jail_routes import JailRoutes
from sidecar.app.api.live_routes import LiveRoutes
from sidecar.app.api.review.review_routes import ReviewRoutes
from sidecar.app.api.workbench_routes import WorkbenchRoutes
from sidecar.app.bans.importer import Importer
from sidecar.app.bootstrap import Components
from sidecar.app.commands.cluster_commands import ClusterCommands, Member
from sidecar.app.commands.confirmation import Confirmation
from sidecar.app.commands.dispatcher import Command, ControlCommands
from sidecar.app.commands.dry_run_switches import DryRunSwitches
from sidecar.app.commands.networks import NetworkCommands
from sidecar.app.commands.review_commands import ReviewCommands
from sidecar.app.commands.service_commands import ServiceCommands
from sidecar.app.commands.store_commands import StoreCommands
from sidecar.app.evidence.evidence_finder import EvidenceFinder
from sidecar.app.notify.courier import Courier
from sidecar.app.report.ban_list import BanListing
from sidecar.app.report.ban_preview import BanPreview
from sidecar.app.report.build_status import StatusBuilder
from sidecar.app.report.explain_address import AddressExplainer
from sidecar.app.report.http_pages import HttpPages
from sidecar.app.report.proposals import Proposals
from sidecar.app.report.suspension_reasons import SuspensionReasons
from sidecar.app.review.daily_report import DailyReport
from sidecar.app.review.refused_domains import RefusedDomains
from sidecar.app.review.review_work import ReviewWork
from sidecar.app.review.service_facts import ServiceFacts
from sidecar.serve.control import Control
from sidecar.serve.web.assets import assets
from sidecar.serve.web.health_routes import HealthRoutes
from sidecar.serve.web.sign_in.gate import Gate
from sidecar.serve.web.sign_in.session_routes import SessionRoutes
from sidecar.serve.web.sign_in.tokens import TokenFile
from sidecar.serve.web.site import Site
from sidecar.serve.web.web_config import WebConfigFile


@dataclass(frozen=True)
class Answering:
    """What answers commands and requests."""

    networks: NetworkCommands
    service: ServiceCommands
    switches: DryRunSwitches
    store: StoreCommands
    status: StatusBuilder
    explainer: AddressExplainer
    preview: BanPreview
    suspensions: SuspensionReasons
    work: ReviewWork
    daily: DailyReport
    domains: RefusedDomains


@contextmanager
def opened(parts: Components, socket: Path, listen: str | None) -> Iterator[None]:
    """Serve commands and pages inside this context."""
    tokens = TokenFile(parts.options.tokens) if parts.options.tokens else None
    cluster = ClusterCommands(_joined(parts))

    def doubts() -> Iterator[str]:
        yield from tokens.faults if tokens else ()
        yield from cluster.doubts()

    answering = answered_by(parts, lambda: pages.faults, doubts, cluster.record)
    pages = HttpPages(sites(parts, answering, listen, tokens))
    courier = Courier(parts.active, parts.messages, parts.metrics)
    every_command = {**commands(parts, answering, courier), "cluster": cluster.cluster}
    control = Control(socket, ControlCommands(every_command).handle)
    parts.metrics.review_failing.set_function(lambda: float(bool(answering.daily.doubts())))
    parts.periodic.every(10.0, "listen", pages.look, at_once=True)
    parts.periodic.every(1.0, "delivery", courier.look, at_once=True)
    parts.periodic.every(300.0, "review counts", answering.work.count)
    parts.periodic.every(60.0, "refused domains", answering.domains.look, at_once=True)
    parts.periodic.every(60.0, "daily report", answering.daily.look, at_once=True)
    try:
        yield
    finally:
        courier.stop()
        pages.close()
        control.close()


def _joined(parts: Components) -> Member | None:
    """The member of a group; None without a cluster, for which nothing more is imported."""
    if not parts.active.settings.cluster.url:
        return None
    from sidecar.app.cluster import joining

    return joining.join(parts)


def answered_by(
    parts: Components,
    faults: Callable[[], Iterable[str]] = tuple,
    doubts: Callable[[], Iterable[str]] = tuple,
    cluster: Callable[[], dict[str, Any] | None] = lambda: None,
) -> Answering:
    """Build what answers; `faults` and `doubts` are problems of the doors, `cluster` the other hosts."""
    engine, suspects = parts.memory.engine, parts.memory.suspects
    confirmation = Confirmation(parts.commit_queue, parts.background)
    preview = BanPreview(engine, parts.enforcer, parts.protection)
    # The daily report asks for the status, which tells its doubts.
    found: list[DailyReport | RefusedDomains] = [parts.refused_domains]
    networks = NetworkCommands(
        parts.options, engine, parts.bus, parts.allow_list, parts.protection, parts.enforcer,
        parts.commit_queue, preview, confirmation, parts.widening,
    )  # fmt: skip
    status = StatusBuilder(
        parts.options, parts.active, engine, parts.enforcer, parts.verifier, parts.logs, parts.allow_list,
        suspects, parts.refusals, parts.store_health, Proposals(preview), parts.started, parts.not_ready,
        faults, lambda: [*doubts(), *(why for one in found for why in one.doubts())], cluster,
    )  # fmt: skip
    suspensions = SuspensionReasons(engine.register, parts.allow_list, parts.protection, suspects)
    explainer = AddressExplainer(
        engine, parts.commit_queue, parts.protection, parts.allow_list, suspects, parts.peer_evidence
    )
    service = ServiceCommands(
        BanListing(engine.register, parts.commit_queue, parts.enforcer, suspensions), _importer(parts),
        status, explainer, parts.reload, parts.enforcer, parts.verifier, parts.feed, parts.rates,
        confirmation,
    )  # fmt: skip
    work = ReviewWork(
        parts.options, parts.active, parts.logs, parts.protection, parts.recorder, ServiceFacts(status).found
    )
    daily = DailyReport(parts.active, parts.options.state, work, parts.memos, parts.messages)
    found.append(daily)
    return Answering(
        networks, service, DryRunSwitches(parts.active, engine, parts.memos, confirmation),
        StoreCommands(parts.upkeep), status, explainer, preview, suspensions, work, daily,
        parts.refused_domains,
    )  # fmt: skip


def _importer(parts: Components) -> Importer:
    register = parts.memory.register
    return Importer(parts.options, parts.active, register, parts.protection, parts.commit_queue, parts.bus)


def sites(
    parts: Components, answering: Answering, listen: str | None, tokens: TokenFile | None
) -> dict[str, Site]:
    """What is served, by address: everything, or only metrics and health."""
    serving = parts.active.settings.serve
    everything = listen or serving.listen
    addresses = [address for address in (everything, serving.metrics) if address]
    secured = WebConfigFile(serving.web_config) if serving.web_config else None
    gate = Gate([*serving.names, *(address.rpartition(":")[0] for address in addresses)], tokens)
    health = HealthRoutes(parts.metrics.taken, parts.not_ready).routes()
    found = {address: Site(health, gate, secured=secured) for address in addresses}
    if everything:
        found[everything] = Site([*health, *api(parts, answering, gate).routes()], gate, assets())
    return found


def api(parts: Components, answering: Answering, gate: Gate) -> ApiRoutes:
    """The routes of the API."""
    engine = parts.memory.engine
    return ApiRoutes(
        answering.status,
        [
            SessionRoutes(gate),
            BanRoutes(
                engine, parts.commit_queue, parts.enforcer, answering.suspensions, answering.explainer,
                answering.preview, parts.allow_list,
            ),
            JailRoutes(parts.active, engine, parts.logs, parts.metrics),
            WorkbenchRoutes(
                parts.active, parts.logs, engine.known_good, parts.protection, answering.explainer
            ),
            LiveRoutes(
                parts.feed, parts.rates, parts.enforcer, parts.verifier, engine.register.table,
                parts.not_ready,
            ),
            ActionRoutes(answering.networks, answering.switches),
            ReviewRoutes(answering.daily, answering.domains, parts.options.state / "adopted"),
        ],
    )  # fmt: skip


def commands(
    parts: Components, answering: Answering | None = None, courier: Courier | None = None
) -> dict[str, Command]:
    """All commands of the control socket."""
    answering = answering or answered_by(parts)
    networks, service = answering.networks, answering.service
    evidence = EvidenceFinder(
        parts.memory.register, parts.logs, parts.memory.suspects.trust, parts.commit_queue
    )
    return {
        "ban": networks.ban,
        "preview": networks.preview,
        "evidence": evidence.find,
        "unban": networks.unban,
        "allow": networks.allow,
        "disallow": networks.disallow,
        "bans": service.bans,
        "import": service.import_,
        "status": service.status,
        "live": service.live,
        "explain": service.explain,
        "flush": service.flush,
        "resume": service.resume,
        "reload": service.reload,
        "notify": (courier or Courier(parts.active, parts.messages, parts.metrics)).test,
        "dry-run": answering.switches.dry_run,
        "report": ReviewCommands(answering.daily).report,
        "backup": answering.store.backup,
        "compact": answering.store.compact,
    }
