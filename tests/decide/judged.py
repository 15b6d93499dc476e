"""The decisions of an engine about matches, as words."""

from __future__ import annotations

from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, Failure, Match, Refused


def events(engine: DecisionEngine, *matches: Match) -> list[str]:
    """The events caused by these matches: `failure`, `ban`, or the reason of a refusal."""
    found = []
    for match in matches:
        at = match.at or 0.0
        for event in engine.decide(match, at, at):
            kinds = {Failure: "failure", Ban: "ban"}
            found.append(event.reason if isinstance(event, Refused) else kinds.get(type(event), "else"))
    return found
