"""Decides which containers run Zimbra or Carbonio, by their content and activity, and finds their logs.

The addresses of a Zimbra container are trusted proxies. If a log shipper or an exporter were taken for one,
its word about clients would be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sidecar.sources.docker import roles
from sidecar.sources.docker.containers import Facts, Look

# Home directory of each product, in the container itself or in a chroot inside it.
HOMES = {"zimbra": "/opt/zimbra", "carbonio": "/opt/zextras"}
_USERS = {"zimbra": "zimbra", "carbonio": "zextras"}
SYSLOG = "/var/log"
# The syslog file of the mail server: that of the product, else that of the distribution.
SYSLOG_FILES = {"zimbra": ("zimbra.log", "maillog"), "carbonio": ("carbonio.log", "maillog")}
# The logs in the log directory of Zimbra that are read, and the role that writes each.
LOGS = {
    "mailbox.log": roles.MAILBOX,
    "audit.log": roles.MAILBOX,
    "nginx.log": roles.PROXY,
    "nginx.access.log": roles.PROXY,
}
# Minimum points of a Zimbra container. The name alone is never enough.
_ENOUGH = 2
_MOST_ROOTS = 16
_OF_THE_HOST = ("/", "/opt")

_CALLED = re.compile("zimbra|carbonio|zextras")
_HOME = re.compile(r"/opt/(?:zimbra|zextras)(?:/|$)")
_NAMED = re.compile(r"(?:^|[=:])/opt/(?:zimbra|zextras)(?:/bin)?/?(?:$|:)")
_PROGRAM = re.compile(
    r"(?:/[^/\s]+)*?/opt/(?:zimbra|zextras)/(?!(?:log|backup|data|store|conf)(?![^\s/;\"']))"
    r"(?:[^\s/;\"']++/)*+[^\s/;\"']++(?<!/bin)(?<!/sbin)(?<!/libexec)(?<!/common)"
)
_INTERPRETERS = frozenset(("sh", "bash", "dash", "perl", "python", "python3", "ruby"))
# Words in the names of helper containers, which mount the files of a mail server or are named after it.
_HELPERS = frozenset(
    "agent alert alertmanager alloy archiver backup backups bacula bareos beat bit borg borgbackup "
    "borgmatic certbot cleaner collectd collector cron crowdsec dashboard dozzle duplicati duplicity "
    "elastic exporter fail filebeat fluent fluentbit fluentd forwarder goaccess grafana healthcheck "
    "imapsync kopia log logging logrotate logs logstash loki metricbeat metrics migrate migration "
    "migrator mirror monitor monitoring nagios netdata notifier otel probe prometheus promtail rclone "
    "replicator reporter restic restore rsnapshot rsync rsyslog scraper shipper stats statsd sync "
    "syncer syslog tail telegraf toolbox tools vector velero viewer watchdog watcher zabbix".split()
)
_READERS = frozenset("borg cat duplicity logrotate rclone restic rsync tail tar".split())


@dataclass(frozen=True)
class Verdict:
    """Whether a container is a Zimbra container, and `why` or why not; `why` is "" without any sign of it.

    `root`: the directory in the container that is / for Zimbra; `home`: its home directory in the container;
    `log`: the name of its log in /var/log; `logs`: the logs found in its own directory. `points`: the weight
    of all signs. `acts`: whether it runs Zimbra, serves its ports or brings its programs.
    """

    taken: bool
    why: str
    product: str = "zimbra"
    root: str = ""
    home: str = HOMES["zimbra"]
    log: str = "zimbra.log"
    logs: frozenset[str] = frozenset()
    role: str = roles.ALL
    points: int = 0
    acts: bool = False

    @property
    def user(self) -> str:
        """The user that the programs of Zimbra run as."""
        return _USERS[self.product]


@dataclass(frozen=True)
class _Place:
    """The home directory of Zimbra in a container. `found`: None if Docker denies access; `programs`:
    its programs are there; `own`: they are part of the image, not of a mount."""

    product: str
    root: str = ""
    home: str = ""
    found: bool | None = None
    programs: bool = False
    own: bool = False


def judge(facts: Facts) -> Verdict:
    """The verdict on one container alone."""
    return _Assessment(facts).verdict


def settle(judged: Sequence[tuple[Facts, Verdict]]) -> list[Verdict]:
    """The verdicts on all containers together: of those that share a log directory, one that does not act is
    a helper of the one with more points."""
    settled = []
    for facts, verdict in judged:
        log = facts.on_host(f"{verdict.home}/log")
        for other, better in judged:
            if not (verdict.taken and better.taken) or verdict.acts or better.points <= verdict.points:
                continue
            if log is not None and other.on_host(f"{better.home}/log") == log:
                verdict = replace(verdict, taken=False, why=f"does nothing but share {log} with {other.name}")
        settled.append(verdict)
    return settled


def program(process: str) -> str | None:
    """The program of Zimbra in a command line; None if it is not a program of Zimbra.

    >>> program("nginx: master process /opt/zimbra/common/sbin/nginx -c /opt/zimbra/conf/nginx.conf")
    '/opt/zimbra/common/sbin/nginx'
    >>> program("tail -F /opt/zimbra/log/mailbox.log")
    """
    words = process.split()
    if "process" in words[1:3]:
        words = words[words.index("process") + 1 :]
    if words and words[0].rpartition("/")[2] == "java":
        own = ("-Dzimbra.", "-Dzextras.")
        known = any(w.startswith(own) or _PROGRAM.fullmatch(w.rpartition("=")[2]) for w in words)
        return words[0] if known else None
    if words and words[0].rpartition("/")[2] in _INTERPRETERS:
        words = [word for word in words[1:] if not word.startswith("-")]
    return words[0] if words and _PROGRAM.fullmatch(words[0]) else None


class _Assessment:
    """The signs for and against one container."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    @cached_property
    def verdict(self) -> Verdict:
        facts, place = self._facts, self._place
        signs = [*self._signs()]
        points = sum(points for points, _ in signs)
        why = ", ".join(sentence for _, sentence in signs)
        objection = self._objection() if signs else ""
        if objection is None and points < _ENOUGH:
            objection = f"{why}, and there is no other sign of Zimbra"
        syslogs = SYSLOG_FILES[place.product]
        look = facts.look or (lambda _: None)
        there = (name for name in syslogs if look(f"{place.root}{SYSLOG}/{name}"))
        return Verdict(
            objection is None,
            why if objection is None else objection,
            place.product,
            place.root,
            place.home,
            next(there, syslogs[0]),
            frozenset(name for name in LOGS if look(f"{place.home}/log/{name}")),
            roles.role(self._running, facts.words, facts.ports),
            points,
            bool(self._running or self._ports or place.own),
        )

    @cached_property
    def _running(self) -> list[str]:
        """The command lines of running Zimbra programs."""
        return [line for line in self._facts.processes or () if program(line)]

    @cached_property
    def _ports(self) -> list[int]:
        return sorted(self._facts.ports & (roles.MAIL_PORTS | roles.OWN_PORTS))

    @cached_property
    def _place(self) -> _Place:
        facts = self._facts
        homes = [m.destination for m in facts.mounts if _HOME.match(m.destination)]
        carbonio = all(home.startswith(HOMES["carbonio"]) for home in homes) if homes else None
        if carbonio is None:
            carbonio = re.search("carbonio|zextras", facts.called) is not None
        product = "carbonio" if carbonio else "zimbra"
        likely = _Place(product, home=HOMES[product])
        if facts.look is None:
            return likely
        # A mount of the host root would show a Zimbra of the host, not of this container.
        inside = (m for m in facts.mounts if m.source not in _OF_THE_HOST and not _HOME.match(m.destination))
        roots = [m.destination for m in inside if m.destination != "/"]
        places = [*self._places(facts.look, ["", *roots[:_MOST_ROOTS]])]
        # A home with programs counts more than one that exists because a log is mounted below it.
        return max(places, key=lambda one: one.programs, default=replace(likely, found=False))

    def _places(self, look: Look, roots: Sequence[str]) -> Iterator[_Place]:
        for root in roots:
            for product, home in HOMES.items():
                if place := look(root + home):
                    programs = look(f"{place}/bin")
                    own = programs is not None and self._facts.mount(programs) is None
                    yield _Place(product, root, place, True, programs is not None, own)

    def _signs(self) -> Iterator[tuple[int, str]]:
        """The signs for Zimbra, each with its weight."""
        facts = self._facts
        if self._running:
            yield 9, f"runs {program(self._running[0])}"
        yield from self._storage_signs()
        started = next((p.group() for word in facts.command if (p := _PROGRAM.search(word))), None)
        if started:
            yield 2, f"is started by {started}"
        elif any(map(_NAMED.search, facts.surroundings)):
            yield 1, f"names {HOMES[self._place.product]} in its environment"
        if self._ports:
            own = not roles.OWN_PORTS.isdisjoint(self._ports)
            yield 2 if own else 1, f"answers at {', '.join(map(str, self._ports))}"
        if called := _CALLED.search(facts.called):
            yield 1, f"is called {called[0]}"

    def _storage_signs(self) -> Iterator[tuple[int, str]]:
        facts, place = self._facts, self._place
        if place.own:
            yield 3, f"brings programs in {place.home}/bin"
        elif place.programs:
            yield 1, f"has programs in {place.home}/bin"
        whole = facts.mount(place.home)
        inside = [m for m in facts.mounts if m.destination.startswith(f"{place.home}/")]
        below = [m.destination for m in inside if m.writable]
        if whole and whole.writable and (place.found or _HOME.match(whole.destination)):
            yield 2, f"keeps {place.home} in a volume"
        elif below:
            yield min(len(below), 2), f"writes {', '.join(below)} to a volume"
        elif inside:
            yield 0, f"reads {', '.join(m.destination for m in inside)}"

    def _objection(self) -> str | None:
        """Why it is not a Zimbra container in spite of the signs; None if nothing is against it."""
        facts, place = self._facts, self._place
        if re.search(r"(?:^|/)zmban[^/\s]*\s", facts.called):
            return "is a zmban"
        if self._running:
            return None
        words = sorted(_HELPERS & facts.words)
        if words and not (place.own and facts.processes is None):
            return f"has {words[0]!r} in its name, and runs no program of Zimbra"
        first, *arguments = facts.command or ("",)
        files = any(_HOME.search(one) or one.startswith(f"{SYSLOG}/") for one in arguments)
        if files and first.rpartition("/")[2] in _READERS:
            return f"only processes files of Zimbra: {' '.join(facts.command)}"
        if place.found is False:
            return f"has no {HOMES[place.product]}"
        log = facts.mount(f"{place.home}/log")
        if log is not None and not log.writable and not place.own:
            return f"mounts {log.destination} read-only, where Zimbra writes"
        return None


def installed(root: Path = Path("/")) -> Verdict | None:
    """A Zimbra that is installed on the host itself."""
    for product, home in HOMES.items():
        if (root / home.lstrip("/") / "bin").is_dir():
            syslogs = SYSLOG_FILES[product]
            there = (name for name in syslogs if (root / SYSLOG.lstrip("/") / name).exists())
            return Verdict(True, f"brings programs in {home}/bin", product, "", home, next(there, syslogs[0]))
    return None
