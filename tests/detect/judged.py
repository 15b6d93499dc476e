"""What a judge makes of matches, in words."""

from __future__ import annotations

from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, Failure, Match, Refused


def events(judge: DecisionEngine, *matches: Match) -> list[str]:
    """Each event that follows from these matches: `failure`, `ban`, or the word under which one is refused."""
    found = []
    for match in matches:
        at = match.at or 0.0
        for event in judge.judge(match, at, at):
            kinds = {Failure: "failure", Ban: "ban"}
            found.append(event.reason if isinstance(event, Refused) else kinds.get(type(event), "else"))
    return found
