"""The composition root: the order of subscribers, and that no component holds all others."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.app import doors
from sidecar.app.bootstrap import Components
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import InProcess, in_process

WHO = Network.parse("203.0.113.7")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path, dry_run=True) as service:
        yield service


async def test_what_must_survive_is_noted_before_the_kernel_is_told_and_a_leak_looked_for_behind_it(
    one: InProcess,
) -> None:
    order = [type(subscriber).__name__ for subscriber in one.bus._subscribers]
    assert order == [
        "Metrics", "CommitQueue", "BanLog", "RefusalLog", "SuspectedProxies", "Enforcer", "LeakDetector",
        "EventFeed", "Rates", "Announcer", "DecisionRecorder",
    ]  # fmt: skip


async def test_a_ban_is_noted_for_the_database_when_the_enforcer_hears_of_it(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[bool] = []
    monkeypatch.setattr(one.enforcer, "handle", lambda batch: noted.append(one.commit_queue.behind))
    one.ban(Ban(WHO, "smtp", 1.0, None, "log"))
    assert noted == [True]


def held(owner: object) -> list[object]:
    """All objects reachable through attributes and containers of zmban's objects."""
    seen: dict[int, object] = {}
    left: list[Any] = [owner]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        ours = type(found).__module__.startswith("sidecar")
        if ours or isinstance(found, dict | list | tuple | set):
            left += [o for o in gc.get_referents(found) if not isinstance(o, type)]
    return list(seen.values())


async def test_no_component_holds_all_of_them(one: InProcess) -> None:
    parts = one.parts
    components = [getattr(parts, field.name) for field in dataclasses.fields(Components)]
    components += [command.__self__ for command in doors.commands(parts).values()]  # type: ignore[attr-defined]
    holders = [
        type(component).__name__
        for component in components
        if any(isinstance(found, Components) for found in held(component))
    ]
    assert holders == []
    # An object that the search would find.
    one.parts.expiry._all = parts  # type: ignore[attr-defined]
    assert any(found is parts for found in held(one.parts.expiry))


async def test_every_periodic_job_has_a_name_of_its_own(one: InProcess) -> None:
    names = [job.name for job in one.parts.periodic._jobs]
    assert len(set(names)) == len(names)
    assert {"commit", "expiry", "prune", "verify", "reconcile", "salvage"} <= set(names)


async def test_the_database_is_replaced_by_all_that_memory_knows(one: InProcess) -> None:
    ban = Ban(WHO, "smtp", 1.0, None, "log", "2 failures", 2)
    one.ban(ban)
    one.engine.jails["smtp"].window.restore(Network.parse("203.0.113.8"), 5.0, "line")
    await one.tell("allow", networks=["198.51.100.1"], reason="x")
    one.parts.memory.known_good.learn(Network.parse("203.0.113.9"), "bob", 2e9)
    content = list(one.commit_queue._snapshot())
    assert ban in content
    assert {type(change).__name__ for change in content} == {"Allowed", "Ban", "Failure", "Login"}
