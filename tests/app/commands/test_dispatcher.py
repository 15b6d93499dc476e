"""Each command by its name, with the arguments of a request: bad ones are answered with one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.app import doors
from sidecar.app.commands.dispatcher import ControlCommands
from tests.app.running import InProcess

RECORD = {
    "network": "203.0.113.7", "jail": "mail", "at": 1.0, "until": None, "reason": "r", "failures": 1,
    "count": 1, "evidence": [], "current": True,
}  # fmt: skip
BAN = {"networks": ["203.0.113.7"], "reason": "x"}


async def test_a_command_is_called_with_the_arguments_of_its_request() -> None:
    async def greet(name: str, times: int = 1) -> list[str]:
        return [name] * times

    commands = ControlCommands({"greet": greet})
    assert await commands.handle("greet", {"name": "a"}) == ["a"]
    assert await commands.handle("greet", {"name": "a", "times": 2}) == ["a", "a"]


async def test_every_command_of_the_contract_is_there(one: InProcess) -> None:
    assert set(doors.commands(one.parts)) >= {
        "ban", "unban", "allow", "disallow", "bans", "import", "status", "explain", "flush", "resume",
        "reload",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("nonsense", {}, "unknown command nonsense"),
        ("ban", {}, "networks: Missing required argument (and 1 more fault)"),
        ("ban", {"networks": ["203.0.113.7"]}, "reason: Missing required argument"),
        ("ban", BAN | {"networks": 5}, "networks: Input should be a valid list"),
        ("ban", BAN | {"networks": [5]}, "networks.0: Input should be a valid string"),
        ("ban", BAN | {"reason": "  "}, "reason: it is empty; say in a few words why"),
        ("ban", BAN | {"reason": "a\nb"}, "reason: 'a\\nb' contains control codes; write one line of plain text"),
        ("ban", BAN | {"until": "tomorrow"}, "until: Input should be a valid number"),
        ("ban", BAN | {"until": float("nan")}, "until: Input should be a finite number"),
        ("ban", BAN | {"until": 1e99}, "until: Input should be less than or equal to"),
        ("ban", BAN | {"evidence": ["x"] * 200_000}, "evidence: more than "),
        ("ban", BAN | {"more": 1}, "more: Unexpected keyword argument"),
        ("unban", {}, "networks: Missing required argument"),
        ("unban", {"networks": ["203.0.113.7"], "jail": 5}, "jail: Input should be a valid string"),
        ("allow", {"networks": ["203.0.113.7"]}, "reason: Missing required argument"),
        ("allow", BAN | {"force": "perhaps"}, "force: Input should be a valid boolean"),
        ("disallow", {"networks": None}, "networks: Input should be a valid list"),
        ("bans", {"after": "x"}, "after: Input should be a valid integer"),
        ("bans", {"contains": "nobody"}, "'nobody'"),
        ("import", {"records": [RECORD | {"at": -1}]}, "records.0.at: Input should be greater than or equal to 0"),
        ("import", {"records": [RECORD | {"jail": ""}]}, "records.0.jail: a name has 1 to 200 characters"),
        ("import", {"records": [RECORD | {"network": "nobody"}]}, "'nobody'"),
        ("import", {"records": [RECORD] * 5001}, "records: List should have at most 5000 items"),
        ("status", {"more": 1}, "more: Unexpected keyword argument"),
        ("explain", {}, "subject: Missing required argument"),
        ("flush", {"more": 1}, "more: Unexpected keyword argument"),
        ("resume", {"more": 1}, "more: Unexpected keyword argument"),
        ("reload", {"lift": "perhaps"}, "lift: Input should be a valid boolean"),
    ],
)  # fmt: skip
async def test_bad_arguments_are_answered_with_one_sentence_and_change_nothing(
    one: InProcess, command: str, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError) as raised:
        await one.tell(command, **arguments)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(one.table) == []
    assert list(one.parts.allow_list) == []
    assert not one.enforcer.suspended


async def test_evidence_that_would_fill_the_disk_is_refused(one: InProcess) -> None:
    networks = [f"203.0.113.{n}" for n in range(200)]
    with pytest.raises(ValueError, match=r"evidence is kept with each network \(200 here\), 64 MiB at most"):
        await one.tell("ban", networks=networks, reason="x", evidence=["x" * 400_000])
    assert list(one.table) == []
