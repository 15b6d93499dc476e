"""A failregex tried on the last lines of a log, and lines explained: in a process of their own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.network import Network
from sidecar.offline.lines.workbench import last_lines
from tests.app.api.site import Client

LINE = (
    "Nov 27 10:00:00 mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"
)


def followed(client: Client, lines: list[str]) -> str:
    """A log that the service follows, with these lines."""
    path = client.one.parts.options.state.parent / "logs/zimbra.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    client.one.logs.logs[str(path)] = FollowedLog.__new__(FollowedLog)
    client.one.logs.logs[str(path)].clock = None
    return str(path)


async def test_a_failregex_shows_its_hits_and_whom_it_would_ban(client: Client) -> None:
    known = "203.0.113.9"
    client.one.parts.memory.known_good.learn(Network.parse(known), "bob", time.time())
    await client.one.tell("allow", networks=["203.0.113.8"], reason="a customer")
    hosts = ["203.0.113.7", "203.0.113.7", "203.0.113.8", known]
    path = followed(client, [*map(LINE.format, hosts), "Nov 27 10:00:00 mail postfix/qmgr[1]: nothing"])
    body = {"log": path, "failregex": r"warning: \S+\[<HOST>\]: SASL LOGIN authentication failed"}
    status, found = await client.ask("POST", "/api/try", body)
    assert status == 200, found
    assert (found["lines"], found["matched"], found["framed"], found["aborted"]) == (5, 4, 0, None)
    assert found["hosts"] == [
        {"network": "203.0.113.7/32", "failures": 2, "known_good": False, "protected": None},
        {"network": "203.0.113.8/32", "failures": 1, "known_good": False, "protected": "ignored"},
        {"network": "203.0.113.9/32", "failures": 1, "known_good": True, "protected": None},
    ]
    assert found["known_good"] == 1
    assert [hit["host"] for hit in found["hits"]] == hosts


async def test_a_regex_that_names_another_host_is_shown_as_framed(client: Client) -> None:
    line = LINE.format("203.0.113.7").replace(": x", ": 198.51.100.1")
    path = followed(client, [line])
    _, found = await client.ask(
        "POST", "/api/try", {"log": path, "failregex": r"authentication failed: <HOST>"}
    )
    assert (found["matched"], found["framed"], found["hosts"]) == (1, 1, [])


async def test_only_as_many_lines_as_asked_are_read_from_the_end(client: Client) -> None:
    path = followed(client, [LINE.format(f"203.0.113.{n}") for n in range(100)])
    body = {"log": path, "failregex": r"\[<HOST>\]: SASL", "lines": 3}
    _, found = await client.ask("POST", "/api/try", body)
    assert [hit["host"] for hit in found["hits"]] == ["203.0.113.97", "203.0.113.98", "203.0.113.99"]


@pytest.mark.parametrize(
    ("failregex", "said"),
    [("(<HOST>", "compile"), ("no host here", "HOST"), (r"(x+x+)+y <HOST>", "time budget")],
)
async def test_a_regex_that_cannot_be_used_is_one_sentence(client: Client, failregex: str, said: str) -> None:
    path = followed(client, ["x" * 200 + " 203.0.113.7"])
    status, found = await client.ask("POST", "/api/try", {"log": path, "failregex": failregex})
    text = found["error"] if status == 400 else found["aborted"]
    assert said in text, found


async def test_only_a_few_requests_wait_and_no_file_of_the_directory_is_run(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    path = followed(client, [LINE.format("203.0.113.7")])
    body = {"log": path, "failregex": r"\[<HOST>\]"}
    answers = await asyncio.gather(*(client.ask("POST", "/api/try", body) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [200] * 4 + [503] * 4
    assert not (tmp_path / "run").exists()


async def test_only_followed_logs_are_read(client: Client) -> None:
    for path in ("/etc/shadow", "../../etc/passwd", ""):
        status, found = await client.ask("POST", "/api/try", {"log": path, "failregex": "<HOST>"})
        assert (status, found["error"]) == (400, "this log is not followed; see /api/logs")


async def test_a_line_is_explained_for_the_logs_that_it_may_be_from(client: Client) -> None:
    async with client.http.get(
        client.url + "/api/explain", params={"line": LINE.format("203.0.113.7"), "log": "zimbra.log"}
    ) as answer:
        found = await answer.json()
    (line,) = found["lines"]
    assert (line["client"], line["matches"][0]["jail"], line["counts"]) == (
        "203.0.113.7",
        "smtp",
        True,
    )


@pytest.mark.parametrize("size", [0, 1, 5, 1 << 20, (1 << 20) + 1, (2 << 20) + 7])
def test_the_last_lines_of_a_file_are_whole(tmp_path: Path, size: int) -> None:
    lines = [b"%07d" % n for n in range(size // 8)]
    (tmp_path / "log").write_bytes(b"".join(line + b"\n" for line in lines))
    for most in (1, 2, 1000, 10**6):
        assert last_lines(tmp_path / "log", most) == lines[-most:]
