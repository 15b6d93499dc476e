"""Prints the service's answers to commands for networks: a line for each, or a summary of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from sidecar.cli import DATA
from sidecar.cli.output.printing import emit, say
from sidecar.model import counted, plural

# Of more, a summary is printed, with so many of the refused ones; --json and --jsonl print all.
MOST_SHOWN = 20
UNCONFIRMED = "needs-confirmation"


def report(answers: Iterable[dict[str, Any]], *, as_json: bool, jsonl: bool, brief: bool = False) -> None:
    """Print the answers while they arrive; if `brief`, as text only a summary. Exits with 65 if one was
    refused."""
    results = Counter[str]()

    def each() -> Iterable[dict[str, Any]]:
        for one in answers:
            if "event" not in one:
                results[one["result"]] += 1
            yield one

    if as_json or jsonl:
        emit(each(), jsonl=jsonl)
    elif brief:
        _summary(each(), results)
    else:
        for one in each():
            say(described(one), err=one.get("result") == "refused")
    if results["refused"]:
        raise click.exceptions.Exit(DATA)


def _summary(answers: Iterable[dict[str, Any]], results: Counter[str]) -> None:
    shown: list[str] = []
    for one in answers:
        if "event" in one:
            say(described(one))
        elif one["result"] == "refused" and len(shown) < MOST_SHOWN:
            shown.append(described(one))
    for text in shown:
        say(text, err=True)
    if (more := results["refused"] - len(shown)) > 0:
        say(f"and {more:,} more refused; --jsonl lists all", err=True)
    total = results.total()
    counts = ", ".join(f"{number:,} {result}" for result, number in results.most_common())
    say(f"{total:,} {plural(total, 'network')}: {counts}")


def described(answer: dict[str, Any]) -> str:
    """One answer as a line."""
    if "event" in answer:
        return _evidence(answer)
    place = f"{answer['place']}: " if "place" in answer else ""
    extra = f" ({answer['reason']})" if answer["result"] == "refused" else ""
    if answer.get("reason") == UNCONFIRMED and answer["result"] == "refused":
        extra += f": {doubts(answer)}; --yes bans it"
    else:
        extra += _covered(answer) + _changed_bans(answer)
    if meant := answer.get("meant"):
        extra += f"; the network is {meant}"
    wider = answer.get("still_covered_by")
    extra += f"; still covered by {', '.join(wider)}" if wider else ""
    return f"{place}{answer['network']}: {answer['result']}{extra}"


def doubts(answer: dict[str, Any]) -> str:
    """Why a ban must be confirmed, and how much it covers."""
    addresses, bans = answer["covers"]["addresses"], answer["covers"]["bans"]
    size = f"{addresses:,} {plural(addresses, 'address', 'addresses')}, {counted(bans, 'active ban')}"
    return f"{'; '.join(answer['why'])}; {size}"


def _evidence(answer: dict[str, Any]) -> str:
    """What a search for log lines found."""
    found = [one for one in answer["found"] if one["lines"]]
    each = ", ".join(f"{one['network']} {one['lines']}" for one in found[:MOST_SHOWN])
    lines = counted(sum(one["lines"] for one in found), "log line")
    size = f"{counted(answer['files'], 'file')}, {answer['bytes'] / 1e6:,.0f} MB"
    text = f"evidence: {lines} of {counted(len(found), 'network')} in {size}{f': {each}' if each else ''}"
    text += f"; stopped {answer['stopped']}" if answer["stopped"] else ""
    return text + "".join(f"; not read: {why}" for why in answer["unread"][:MOST_SHOWN])


def _covered(answer: dict[str, Any]) -> str:
    """What a network covers that is wider than the configured limit."""
    if "covers" not in answer:
        return ""
    covers = answer["covers"]
    text = f": {covers['addresses']:,} {plural(covers['addresses'], 'address', 'addresses')}"
    text += f", {counted(covers['bans'], 'active ban')}"
    refused = answer["result"] == "refused"
    if "kept_reachable" not in covers:
        return text + ("; --force allows it and suspends these bans" if refused else "")
    kept = counted(covers["kept_reachable"], "network")
    text += f", {kept} kept reachable"
    if covers["good_logins"]:
        good = counted(covers["good_logins"], "address", "addresses")
        text += f", {good} with recent successful logins"
    if covers["delivered_to"]:
        text += f", {counted(covers['delivered_to'], 'known mail server')}"
    return text + ("; --force bans it" if refused else "")


def _changed_bans(answer: dict[str, Any]) -> str:
    """How many bans inside the network are suspended by `allow`, or enforced again by `disallow`."""
    if number := answer.get("suspended"):
        return f"; {counted(number, 'ban inside is', 'bans inside are')} suspended"
    number = answer.get("enforced")
    return f"; {counted(number, 'ban inside is', 'bans inside are')} enforced again" if number else ""
