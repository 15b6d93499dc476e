"""From a file of any content each line is read once, in order, and the position never goes back."""

from __future__ import annotations

import asyncio
import tempfile
from io import FileIO
from pathlib import Path
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.model import Block
from sidecar.sources.files.content import KnownContents, Opened
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_reader import FileReader
from sidecar.sources.lines.line_format import PlainLines

LONGEST = 64
MARK = b"\xef\xbb\xbf"
PIECES = st.one_of(
    st.sampled_from([b"\n", b"\n\n", b"\r\n", b"line\n", b"x" * 70, b"y" * 200, b"\0" * 9, MARK, b"\xff\xfe", b"\x85", "\u2028".encode()]),
    st.binary(max_size=40),
)  # fmt: skip


async def blocks(chunks: list[bytes], length: int, path: Path) -> list[Block]:
    """The blocks of a file to which these chunks are appended one after the other."""
    path.touch()
    known = KnownContents()
    content = known.new(path.stat().st_ino)
    reader = FileReader(str(path), Opened(str(path), (0, 0), FileIO(path), content, packed=False), Disk("x"))
    found: list[Block] = []
    for chunk in chunks:
        with path.open("ab") as log:
            log.write(chunk)
        while block := await reader.next(length, live=True):
            assert not found or block.position.offset > found[-1].position.offset
            found.append(block)
            # What is passed on ends with a position behind it, and that is in the file.
            assert block.data.endswith(b"\n")
            assert block.position.offset <= path.stat().st_size
        assert not reader.restarted
    reader.close()
    return found


def cleaned(line: bytes) -> bytes:
    """A line without the zeros and byte-order marks before it."""
    while line.startswith((b"\0", MARK)):
        line = line.removeprefix(MARK).lstrip(b"\0")
    return line


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=6), st.integers(LONGEST, 300))
@example([b"x" * 70, b"y" * 70, b"\nshort\n"], LONGEST)
def test_each_line_is_read_once_and_the_position_never_goes_back(chunks: list[bytes], length: int) -> None:
    # The end of the last line, and a line behind it, because the rest of an overlong line is skipped without a block.
    chunks = [*chunks, b"\n", b"last\n"]
    with tempfile.TemporaryDirectory() as place, mock.patch.object(PlainLines, "longest", LONGEST):
        found = asyncio.run(blocks(chunks, length, Path(place, "x.log")))
    content = b"".join(chunks)
    offsets = [block.position.offset for block in found]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(content)
    lines = content.split(b"\n")[:-1]
    taken = b"".join(block.data for block in found).split(b"\n")[:-1]
    assert len(taken) == len(lines) == sum(block.data.count(b"\n") for block in found)
    for line, read in zip(lines, taken, strict=True):
        # An overlong line is cut at a place that depends on the blocks.
        assert read == cleaned(line) or (len(line) >= LONGEST and cleaned(line).startswith(cleaned(read))), (
            line,
            read,
        )
