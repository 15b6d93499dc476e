"""Joins the lines of a session by `<F-MLFID>`.

A server may log one attempt in several lines, of which one has the client and another one the failure.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from sidecar.model import Instant, Seconds

_MOST_SESSIONS = 100
_LONGEST: Seconds = 300.0
# More lines of one session than this say nothing new.
_MOST_LINES = 100
# Groups that apply to the line, not to its session.
_FLAGS = ("nofail", "mlfgained", "mlfforget", "mlfpending")

Groups = dict[str, Any]


@dataclass(slots=True)
class _Session:
    """One session: the merged groups of its lines, and the lines themselves."""

    begun: Instant
    groups: Groups = field(default_factory=dict)
    users: set[Any] = field(default_factory=set)
    stored: list[str] = field(default_factory=list)
    gathered: list[str] = field(default_factory=list)
    pending: bool = False
    failed: bool = False


class Sessions:
    """The open sessions of one filter over one log; if there are too many, the oldest is dropped."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Session] = OrderedDict()

    def add(self, groups: Groups, line: str, at: Instant) -> tuple[Groups, list[str]] | None:
        """Add one matched line. If it completes a failure, returns the merged groups and the lines that led
        to it, else None."""
        identity = str(groups["mlfid"])
        gained, forget = bool(groups.get("mlfgained")), bool(groups.get("mlfforget"))
        nofail = gained or bool(groups.get("nofail"))
        session = self._find(identity, at)
        if session is None:
            session = _Session(at)
            if not forget:
                self._keep(identity, session)
        else:
            if gained:
                session.pending = False
            if session.failed and not session.pending:
                session.stored.clear()
            if forget:
                self._open.pop(identity, None)
        if groups.get("user") is not None:
            session.users.add(groups["user"])
        for name, value in groups.items():
            if name not in _FLAGS and (value or name not in session.groups):
                session.groups[name] = value
        return _verdict(session, line, nofail=nofail, forget=forget)

    def _find(self, identity: str, at: Instant) -> _Session | None:
        session = self._open.get(identity)
        if session is not None and at - session.begun > _LONGEST:
            del self._open[identity]
            return None
        return session

    def _keep(self, identity: str, session: _Session) -> None:
        self._open[identity] = session
        if len(self._open) > _MOST_SESSIONS:
            self._open.popitem(last=False)


def _verdict(session: _Session, line: str, *, nofail: bool, forget: bool) -> tuple[Groups, list[str]] | None:
    """The failure that this line completes, possibly one that was waiting for its client; else None."""
    if session.pending or len(session.users) > 1:
        nofail = False
    if nofail:
        if not forget and len(session.gathered) < _MOST_LINES:
            session.gathered.append(line)
        session.failed = False
        return None
    session.stored = [*session.gathered, *session.stored, line][-_MOST_LINES:]
    session.gathered = []
    if not any(session.groups.get(name) for name in ("fid", "ip4", "ip6", "dns")):
        session.pending, session.failed = True, False
        return None
    session.pending, session.failed = False, True
    groups = dict(session.groups)
    if session.users:
        groups["users"] = sorted(session.users, key=str)
    return groups, list(session.stored)
