"""A log line goes the way that ARCHITECTURE.md lists, function by function and in that order."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.detect.scanner import Scanner
from sidecar.model import Block, Position
from sidecar.sources.files.disk import Disk
from tests.app.running import InProcess, in_process
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
LINE = "mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"


def listed() -> list[str]:
    """`file function` of each row."""
    rows = re.findall(r"^\| \d+ \| `([\w/]+\.py)` `([\w.]+)`", ARCHITECTURE, re.MULTILINE)
    return [f"{file} {function}" for file, function in rows]


def process(one: InProcess) -> list[str]:
    """The functions of ours that are entered while a block of two failed logins is processed, in their order."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and "/sidecar/" in code.co_filename:
            entered.append(f"{code.co_filename.rpartition('/sidecar/')[2]} {code.co_qualname}")

    jails, trust = list(one.parts.active.jails.values()), one.suspects.trust
    scanner = Scanner("/var/log/zimbra.log", jails, one.parts.active.zone, trust)
    log = FollowedLog("/var/log/zimbra.log", Disk("x"), scanner, None, tail=False)
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime())
    data = (f"{stamp} {LINE.format(EVIL)}\n" * 2).encode()
    block = Block(data, Position("/var/log/zimbra.log", 1, len(data), b""), True, time.time())
    sys.setprofile(note)
    try:
        one.logs._process(log, block, 1 << 16)
    finally:
        sys.setprofile(None)
    return entered


@pytest.mark.kernel
async def test_a_line_that_bans_passes_each_function_that_is_listed_in_that_order(
    host: Namespace, tmp_path: Path
) -> None:
    way = listed()
    assert 1 < len(way) <= 12
    async with in_process(tmp_path) as one:
        entered = process(one)
        assert blackholes(host) == {EVIL}
    missing = [function for function in way if function not in entered]
    assert missing == []
    firsts = [entered.index(function) for function in way]
    assert firsts == sorted(firsts), [f"{at} {function}" for at, function in zip(firsts, way, strict=True)]
    assert "kernel/route/route_backend.py RouteBackend.write" in entered[firsts[-1] :]
