"""The ACL of docs/cluster.md against a real server: a host works with it, and can do nothing else with it."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cluster.group import Group, Host, group, redis, valkey
from tests.app.running import until

pytestmark = pytest.mark.kernel
DOCUMENT = (Path(__file__).parents[3] / "docs/cluster.md").read_text(encoding="utf-8")
EVIL, OTHER = "203.0.113.7", "198.51.100.9"


def acl(name: str, password: str, *more: str) -> list[str]:
    """The documented command for this host."""
    found = re.search(r"^ACL SETUSER mx1 .*$", DOCUMENT, re.MULTILINE)
    assert found is not None
    return [*shlex.split(found[0].replace("mx1", name).replace("PASSWORD", password)), *more]


def secured(found: Group, more: str = "") -> None:
    """Give each host a user of its own; the default user is off but for the tests."""
    for name, host in found.hosts.items():
        assert found.redis.cli(*acl(name, f"password-of-{name}")) == "OK"
        password = host.running.root / "password"
        password.write_text(f"password-of-{name}\n")
        password.chmod(0o600)
        settings = found.settings(name, f'user = "{name}"\npassword_file = "{password}"\n{more}')
        host.configure(settings, "maxretry = 2\n")


@pytest.fixture(scope="module", params=[redis, valkey])
def two(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Group]:
    with group(tmp_path_factory.mktemp("acl"), "mx1", "mx2", server=request.param) as found:
        secured(found)
        for host in found.hosts.values():
            host.start()
        found.connected()
        yield found


def as_mx1(found: Group, *command: str) -> str:
    """What Redis answers to the host mx1."""
    with found.switch.inside():
        done = subprocess.run(
            ["redis-cli", "--user", "mx1", "--pass", "password-of-mx1", "--no-auth-warning", *command],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    return (done.stdout + done.stderr).strip()


def denied(found: Group) -> list[str]:
    """What Redis denied to the hosts so far, but for the name of their library, see docs/cluster.md."""
    lines = found.redis.cli("ACL", "LOG", "100").splitlines()
    objects = [lines[n + 1] for n, line in enumerate(lines) if line == "object"]
    return [one for one in objects if one != "client|setinfo"]


def test_hosts_do_all_they_do_with_the_documented_rights_and_need_each(two: Group) -> None:
    two.redis.cli("CONFIG", "RESETSTAT")
    first, second = two.hosts.values()
    first.attack(EVIL, 1)
    until(lambda: two.redis.cli("KEYS", "zmban:zmban:w:*") != "")
    second.attack(EVIL, 1)
    until(lambda: all(EVIL in host.routes() for host in (first, second)))
    first.ask("unban", EVIL)
    until(lambda: all(EVIL not in host.routes() for host in (first, second)))
    first.ask("allow", OTHER, "--reason", "a test")
    until(lambda: "allowed" in str(second.ask("explain", OTHER)))
    forge(two)
    rewrite(two, first)
    left(two, first)
    assert denied(two) == []
    words = {word.strip("()") for word in acl("mx1", "")}
    used = re.findall(r"cmdstat_([a-z|]+):", two.redis.cli("INFO", "commandstats"))
    assert {word[1:] for word in words if word.startswith("+")} - set(used) == set()


def forge(two: Group) -> None:
    """Failures of somebody unknown, which a host removes when it counts."""
    window = f"zmban:zmban:w:smtp:{OTHER[:-1]}77/32"
    two.redis.cli("ZADD", window, str(time.time()), "x", str(time.time()), "y")
    two.hosts["mx2"].attack(f"{OTHER[:-1]}77", 1)
    until(lambda: two.hosts["mx2"].cluster()["forged"] == 2)


def rewrite(two: Group, host: Host) -> None:
    """Decide so much that the stream is written anew, and ask for the rest of it."""
    many = [f"100.{64 + n // 250}.{n % 250}.1" for n in range(5500)]
    for _ in range(2):
        host.ask("ban", *many, "--reason", "a test")
        host.ask("unban", *many)
    until(lambda: "cmdstat_xtrim" in two.redis.cli("INFO", "commandstats"), 30)


def left(two: Group, host: Host) -> None:
    """Leave the group, and join it again."""
    host.cluster("leave")
    until(lambda: two.redis.cli("EXISTS", "zmban:zmban:s:mx1") == "0")
    assert "mx1" not in two.redis.cli("ZRANGE", "zmban:zmban:hosts", "0", "-1").splitlines()
    host.kill()
    host.start()
    two.connected()


DENIED = ("NOPERM", "No permission", "can't access", "can't run this command", "not allowed from script",
          "ACL failure in script")  # fmt: skip
FORBIDDEN = """
FLUSHALL
FLUSHDB
CONFIG GET *
CONFIG SET maxmemory 1
KEYS *
SCAN 0
RANDOMKEY
DBSIZE
INFO
ACL LIST
ACL WHOAMI
CLIENT LIST
CLIENT KILL TYPE normal
CLIENT SETNAME x
MONITOR
SHUTDOWN NOSAVE
SAVE
REPLICAOF NO ONE
MODULE LIST
FUNCTION LOAD "#!lua name=x\\nredis.register_function('x', function() end)"
FUNCTION FLUSH
FCALL x 0
SCRIPT FLUSH
SCRIPT LOAD "return 1"
SCRIPT KILL
SELECT 1
SWAPDB 0 1
GET other
SET other x
DEL other
XADD other * b x
ZADD other 1 x
GET zmban:zmban:hosts
SET zmban:zmban:hosts x
RENAME zmban:zmban:hosts zmban:zmban:w:x
COPY zmban:zmban:hosts zmban:zmban:w:x
RESTORE zmban:zmban:s:mx1 0 x
XADD zmban:zmban:s:mx2 * b x
XTRIM zmban:zmban:s:mx2 MAXLEN 0
DEL zmban:zmban:s:mx2
DEL zmban:zmban:s:mx10
ZADD zmban:zmban:s:mx2 1 x
ZADD zmban:zmban:s:mx1 1 x
PEXPIRE zmban:zmban:s:mx2 1
PEXPIRE zmban:zmban:s:mx1 1
XLEN zmban:zmban:s:mx2
PEXPIRE zmban:zmban:hosts 1
XADD zmban:zmban:hosts * b x
ZREMRANGEBYRANK zmban:zmban:hosts 0 -1
XADD zmban:zmban:w:smtp:192.0.2.1 * b x
XADD zmban:other:s:mx1 * b x
XRANGE zmban:other:s:mx1 - +
ZADD zmban:other:w:x 1 x
PUBLISH other x
PUBLISH zmban:other:live x
SUBSCRIBE other
SUBSCRIBE zmban:other:live
PSUBSCRIBE *
SSUBSCRIBE other
EVAL "return redis.call('FLUSHALL')" 0
EVAL "return redis.call('DEL', 'zmban:zmban:s:mx2')" 0
EVAL "return redis.call('XADD', 'zmban:zmban:s:mx2', '*', 'b', 'x')" 0
EVAL "return redis.call('CONFIG', 'GET', '*')" 0
EVAL "return redis.call('GET', 'other')" 0
EVAL "return 1" 1 zmban:zmban:s:mx2
EVAL "return 1" 1 other
""".strip().splitlines()


def test_nothing_else_can_be_done_with_the_rights_of_a_host(two: Group) -> None:
    two.redis.cli("SET", "other", "x")
    before = two.redis.cli("XLEN", "zmban:zmban:s:mx2")
    allowed = []
    for line in FORBIDDEN:
        words = [word.replace("\\n", "\n") for word in shlex.split(line)]
        said = as_mx1(two, *words)
        if not any(word in said for word in DENIED):
            allowed.append((line, said))
    assert allowed == []
    assert two.redis.cli("GET", "other") == "x" and two.redis.cli("XLEN", "zmban:zmban:s:mx2") >= before
    two.connected()
