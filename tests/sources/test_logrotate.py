"""The logrotate of Debian in all modes, on a log that is written to and followed, with a restart in between."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from sidecar.model import Position
from tests.sources.following import reading

MODES = {
    "create": "create 0644 root root",
    "nocreate": "nocreate",
    "delaycompress": "create\ncompress\ndelaycompress",
    "compress": "create\ncompress",
    "xz": "create\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
    "extension": "create\nextension .log",
    "olddir": "create\nolddir old\ncreateolddir 0755 root root",
    "sharedscripts": "create\nsharedscripts\npostrotate\n/bin/true\nendscript",
    "copytruncate": "copytruncate",
    "copytruncate and compress": "copytruncate\ncompress",
    "maxsize": "create\nhourly\nmaxsize 1",
}


class Rotated:
    """A log with numbered lines, and logrotate for it."""

    def __init__(self, root: Path, mode: str) -> None:
        self.log, self._state, self._conf = root / "logs/x.log", root / "status", root / "rotate.conf"
        self.log.parent.mkdir()
        self.log.write_bytes(b"")
        self._conf.write_text(f"{self.log} {{\nrotate 50\nsize 1\nmissingok\n{mode}\n}}\n")
        self._conf.chmod(0o644)
        self._mode, self.number = mode, 0

    @property
    def lines(self) -> list[bytes]:
        return [b"line %d" % number for number in range(self.number)]

    def write(self, many: int) -> None:
        with self.log.open("ab") as file:
            for _ in range(many):
                file.write(b"line %d\n" % self.number)
                self.number += 1

    async def rotate(self) -> None:
        command = ["logrotate", "-f", "-s", str(self._state), str(self._conf)]
        # With dateext logrotate refuses to rotate twice in one second.
        await asyncio.to_thread(
            subprocess.run, command, check="dateext" not in self._mode, capture_output=True
        )


@pytest.mark.parametrize("mode", MODES)
async def test_no_line_is_lost_and_none_is_read_twice(tmp_path: Path, mode: str) -> None:
    rotated = Rotated(tmp_path, MODES[mode])
    seen: list[bytes] = []
    positions: list[Position] = []
    for turn in range(4):
        async with reading(rotated.log, positions) as reader:
            if turn == 0:
                # Rotated files of a log that was never read are skipped.
                await reader.read_all()
            for _ in range(2):
                rotated.write(50)
                rotating = asyncio.create_task(rotated.rotate())
                await asyncio.sleep(0.004 * turn)
                await rotating
                rotated.write(3)
            if turn % 2:
                await asyncio.sleep(0.05)
            else:
                for _ in range(500):
                    if len(seen) + len(reader.lines) >= rotated.number:
                        break
                    await asyncio.sleep(0.01)
        # The follower was stopped.
        seen += reader.lines
        positions = reader.position
        # Writes and rotations go on without a follower.
        rotated.write(20)
        await rotated.rotate()
        rotated.write(20)
    async with reading(rotated.log, positions) as reader:
        for _ in range(500):
            if len(seen) + len(reader.lines) >= rotated.number:
                break
            await asyncio.sleep(0.01)
    assert sorted(seen + reader.lines) == sorted(rotated.lines)
