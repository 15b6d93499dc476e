"""Ban, unban, allow and disallow: an answer for each network that was named, and what each of them leaves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sidecar.model import Ban, Failure
from sidecar.network import Network
from sidecar.serve.control import RefusedError
from tests.app.running import InProcess

WHO, OTHER, WIDE = "203.0.113.7/32", "198.51.100.7/32", "203.0.0.0/8"


def stored(one: InProcess) -> list[Ban]:
    return one.commit_queue.database.bans()


def results(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["result"] for answer in answers]


async def told(one: InProcess, command: str, *networks: str, **more: Any) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = await one.tell(command, networks=list(networks), **more)
    return answers


async def test_a_ban_stands_and_is_written_when_its_answer_comes(one: InProcess) -> None:
    until = time.time() + 900
    answers = await told(one, "ban", WHO, OTHER, reason=" why ", until=until, evidence=["a line"])
    assert answers == [{"network": network, "result": "banned", "reason": "why"} for network in (WHO, OTHER)]
    (first, second) = stored(one)
    assert (first.network, first.jail, first.origin, first.until) == (
        Network.parse(WHO), "manual", "manual", until,
    )  # fmt: skip
    assert (first.reason, first.evidence, second.evidence) == ("why", ("a line",), ("a line",))


async def test_a_ban_in_a_dry_run_is_dry(one: InProcess) -> None:
    await told(one, "ban", WHO, reason="x")
    assert [ban.dry for ban in one.table] == [True]
    assert one.present().keys() & {Network.parse(WHO)} == set()


async def test_a_ban_again_stands_already_and_a_longer_one_extends(one: InProcess) -> None:
    soon, later = time.time() + 900, time.time() + 9000
    found = [
        await told(one, "ban", WHO, reason="x", until=until) for until in (soon, soon, later, None, later)
    ]
    assert [results(answer)[0] for answer in found] == [
        "banned",
        "standing",
        "extended",
        "extended",
        "standing",
    ]
    assert [ban.until for ban in stored(one)] == [None]


async def test_what_is_no_network_is_refused_and_the_rest_goes_on(one: InProcess) -> None:
    answers = await told(one, "ban", "nobody", WHO, "203.0.113.1/24", reason="x")
    assert answers[0] == {"network": "nobody", "result": "refused", "reason": "not-a-network"}
    assert results(answers)[1] == "banned"
    assert {ban.network for ban in one.table} >= {Network.parse(WHO)}


async def test_what_must_never_be_cut_off_is_not_banned_not_even_by_force(one: InProcess) -> None:
    await told(one, "allow", OTHER, reason="a friend")
    for force in (False, True):
        answers = await told(one, "ban", "127.0.0.1", OTHER, reason="x", force=force)
        assert [answer["reason"] for answer in answers] == ["reserved", "ignored"]
    assert list(one.table) == []


async def test_what_is_too_wide_is_banned_by_force_and_both_say_what_it_covers(one: InProcess) -> None:
    await told(one, "ban", WHO, reason="x")
    one.parts.memory.known_good.learn(Network.parse("203.0.113.9"), "bob", time.time())
    (refused,) = await told(one, "ban", WIDE, reason="x")
    assert (refused["result"], refused["reason"]) == ("refused", "too-wide")
    assert refused["covers"]["addresses"] == 1 << 24
    assert (refused["covers"]["bans"], refused["covers"]["good_logins"]) == (1, 1)
    (banned,) = await told(one, "ban", WIDE, reason="x", force=True)
    assert (banned["result"], banned["covers"]) == ("banned", refused["covers"])


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("203.0.112.0/23", "it is wider than /24"),
        ("2001:db8::/47", "it is wider than /48"),
        ("203.0.113.0/24", "it covers 1 network that is kept reachable"),
        ("198.51.100.0/24", "it covers 2 addresses with recent successful logins"),
        ("198.51.100.7", "it covers 1 address with recent successful logins"),
        ("198.51.100.128/25", "it covers 1 known mail server"),
        ("2001:db8:1:1::/64", "it covers 1 address with recent successful logins"),
        ("2001:db8:1::/48", "it covers 1 address with recent successful logins"),
        # The login was somewhere in this /64.
        ("2001:db8:1:1:5::/80", "it covers 1 address with recent successful logins"),
        ("2001:db8:1:1::5", "it covers 1 address with recent successful logins"),
    ],
)
async def test_what_may_be_a_mistake_is_banned_only_when_it_is_confirmed(
    one: InProcess, network: str, why: str
) -> None:
    known, now = one.parts.memory.known_good, time.time()
    for client in ("198.51.100.7", "198.51.100.9", "2001:db8:1:1::7"):
        known.learn(Network.parse(client).unit(), f"bob of {client}", now)
    known.learn(Network.parse("198.51.100.200"), "", now)
    await told(one, "allow", WHO, reason="a customer")
    (refused,) = await told(one, "ban", network, reason="x")
    assert (refused["result"], refused["reason"]) == ("refused", "needs-confirmation")
    assert why in refused["why"]
    assert list(one.table) == []
    (preview,) = await told(one, "preview", network)
    assert preview == {
        "network": str(Network.parse(network)), "refused": None, "confirm": True, "why": refused["why"],
        "covers": refused["covers"],
    }  # fmt: skip
    (banned,) = await told(one, "ban", network, reason="x", yes=True)
    assert (banned["result"], banned["covers"]) == ("banned", refused["covers"])


@pytest.mark.parametrize("network", ["198.51.100.7", "198.51.100.0/24", "2001:db8::/48", "2001:db8::7"])
async def test_what_is_narrow_and_harms_nobody_known_is_banned_without_a_question(
    one: InProcess, network: str
) -> None:
    one.parts.memory.known_good.learn(Network.parse("203.0.113.9"), "bob", time.time())
    (preview,) = await told(one, "preview", network)
    assert (preview["refused"], preview["confirm"], preview["why"]) == (None, False, [])
    assert preview["covers"]["addresses"] == Network.parse(network).addresses
    assert results(await told(one, "ban", network, reason="x")) == ["banned"]


async def test_to_confirm_bans_nothing_that_is_protected_or_too_wide(one: InProcess) -> None:
    answers = await told(one, "ban", "127.0.0.1", WIDE, "nobody", reason="x", yes=True)
    assert [answer["reason"] for answer in answers] == ["reserved", "too-wide", "not-a-network"]
    previews = await told(one, "preview", "127.0.0.1", WIDE, "nobody")
    assert [one["refused"] for one in previews] == ["reserved", "too-wide", "not-a-network"]
    assert [one["confirm"] for one in previews] == [False] * 3
    assert previews[1]["covers"]["addresses"] == 1 << 24


async def test_an_unban_lifts_every_ban_of_a_network_or_that_of_one_jail(one: InProcess) -> None:
    bans = [Ban(Network.parse(WHO), jail, 1.0, None, "log") for jail in ("smtp", "web", "mail")]
    one.ban(*bans)
    assert results(await told(one, "unban", WHO, jail="web")) == ["unbanned"]
    assert [ban.jail for ban in stored(one)] == ["smtp", "mail"]
    assert results(await told(one, "unban", WHO, OTHER)) == ["unbanned", "not-banned"]
    assert stored(one) == []


async def test_an_unban_forgets_the_failures_of_the_address_and_of_the_prefix_it_counts_for(
    one: InProcess,
) -> None:
    six = Network.parse("2001:db8:1::7")
    window = one.engine.jails["smtp"].window
    for network in (Network.parse(WHO), six.unit()):
        window.restore(network, time.time(), "line")
        one.bus.publish([Failure("smtp", network, time.time(), "line")])
    await told(one, "unban", WHO, str(six))
    assert len(window) == 0
    assert list(one.commit_queue.database.failures()) == []


async def test_an_unban_of_an_address_lifts_the_ban_of_its_prefix_that_a_log_led_to_and_no_other(
    one: InProcess,
) -> None:
    prefix, by_hand = Network.parse("2001:db8:1::/64"), Network.parse("2001:db8::/32")
    one.ban(Ban(prefix, "smtp", 1.0, None, "log"), Ban(by_hand, "manual", 1.0, None, "manual"))
    (answer,) = await told(one, "unban", "2001:db8:1::7")
    assert (answer["result"], answer["still_covered_by"]) == ("unbanned", [str(by_hand)])
    assert [ban.network for ban in one.table] == [by_hand]


async def test_an_allowed_network_is_told_with_what_it_suspends_and_kept(one: InProcess) -> None:
    one.ban(Ban(Network.parse(WHO), "smtp", 1.0, None, "log"))
    (answer,) = await told(one, "allow", WHO, reason="a friend", until=time.time() + 900)
    assert answer == {"network": WHO, "result": "allowed", "suspended": 1}
    assert one.table.rests(Network.parse(WHO), "smtp")
    assert [allowed.reason for allowed in one.commit_queue.database.allowed()] == ["a friend"]
    (answer,) = await told(one, "disallow", WHO)
    assert answer == {"network": WHO, "result": "disallowed", "still_covered_by": [], "enforced": 1}
    assert not one.table.rests(Network.parse(WHO), "smtp")
    assert [a for a in one.commit_queue.database.allowed() if a.until is None or a.until > 0] == []


async def test_what_was_not_allowed_or_is_no_network_is_answered_too(one: InProcess) -> None:
    answers = await told(one, "disallow", "nobody", WHO)
    assert answers == [
        {"network": "nobody", "result": "refused", "reason": "not-a-network"},
        {"network": WHO, "result": "not-allowed", "still_covered_by": []},
    ]
    assert results(await told(one, "allow", "nobody", reason="x")) == ["refused"]


@pytest.mark.parametrize("command", ["ban", "unban", "allow", "disallow"])
async def test_what_could_not_be_written_is_done_and_says_so(
    one: InProcess, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> str:
        return "the disk is full"

    monkeypatch.setattr(one.commit_queue, "commit", failing)
    reason = {"reason": "x"} if command in ("ban", "allow") else {}
    with pytest.raises(RefusedError, match="done, but not saved: the disk is full"):
        await told(one, command, WHO, **reason)
    monkeypatch.undo()
    assert [ban.network for ban in one.table] == ([Network.parse(WHO)] if command == "ban" else [])


async def test_who_acted_is_kept_with_a_ban_and_what_is_allowed_and_is_in_the_log(
    one: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zmban.bans")
    await told(one, "ban", WHO, OTHER, reason="x", by="alice")
    assert {ban.by for ban in stored(one)} == {"alice"} == {ban.by for ban in one.table}
    await told(one, "unban", WHO, by="bob")
    await told(one, "unban", OTHER)
    await told(one, "allow", WHO, reason="a customer", by="carol")
    assert [allowed.by for allowed in one.commit_queue.database.allowed()] == ["carol"]
    address = WHO.removesuffix("/32")
    said = "".join(f"{r.getMessage()}\n{vars(r).get('second_line', '')}\n" for r in caplog.records)
    for text in (
        f"{address}: x, by alice",
        f"Unban {address}\n",
        f"{address}: manual, by bob",
        "by command line",
        "by carol",
    ):
        assert text in said
