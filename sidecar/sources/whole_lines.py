"""Reads the file of a log, plain or compressed, in blocks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader, FileIO
from typing import IO

from sidecar.model import SourceError
from sidecar.sources.files import compressed
from sidecar.sources.files.descriptors import open_regular

# Small enough for the cache of a processor: data is still there when it is scanned.
BLOCK = 1 << 18
# Longer lines are cut.
LONGEST = 1 << 20


def whole_lines(path: str, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """A file, or the part of a plain one from one offset to another, in blocks of whole lines. A missing
    newline at the end is added; an overlong line is cut. SourceError if it cannot be read."""
    try:
        with open_regular(path) as file, _content(path, file) as content:
            content.seek(begin)
            yield from _blocks(content, begin, end)
    except compressed.BROKEN as error:
        raise SourceError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def is_compressed(path: str) -> bool:
    """Whether the offsets of a file are not those of its lines. OSError if it cannot be opened."""
    with open_regular(path) as file:
        return compressed.opened(file) is not None


def _content(path: str, file: FileIO) -> IO[bytes]:
    if path.endswith(compressed.CLOSED):
        return compressed.unpacking(file)
    return compressed.opened(file) or BufferedReader(file)


def _blocks(file: IO[bytes], begin: int, end: int | None) -> Iterator[bytes]:
    while data := file.read(BLOCK if end is None else min(BLOCK, end - begin)):
        if not data.endswith(b"\n"):
            data += file.readline(LONGEST)
        begin += len(data)
        if not data.endswith(b"\n"):
            data += b"\n"
            while (more := file.readline(LONGEST)) and not more.endswith(b"\n"):
                pass
        yield data
