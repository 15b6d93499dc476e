"""Samples of a log: all of a short one, of a longer one a part here and there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidecar.model import SourceError
from sidecar.sources.files import compressed
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.kinds import file_path
from sidecar.sources.plain_blocks import plain_part

# A log up to this size is read whole; of a longer one a sample is read at every step.
_WHOLE = 16 << 20
_SAMPLE, _STEP = 64 << 10, 4 << 20


def samples(path: str) -> Iterator[bytes]:
    """A log in blocks of whole lines: all of a short one, of a longer one a part here and there. The same of
    the same file."""
    for data in _raw(file_path(path)):
        yield plain_part(path, data)


def _raw(path: str) -> Iterator[bytes]:
    """The same of a file, as it is there."""
    if compressed.is_packed(path):
        yield from _of_packed(path)
        return
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            step, length = (_STEP, _SAMPLE) if size > _WHOLE else (_WHOLE, _WHOLE)
            for start in range(0, size, step):
                file.seek(start)
                data = file.read(length)
                # The line that was begun before is left out, and the one that ends behind.
                begin = data.find(b"\n") + 1 if start else 0
                end = len(data) if start + len(data) == size else data.rfind(b"\n") + 1
                yield data[begin:end]
    except OSError:
        return


def _of_packed(path: str) -> Iterator[bytes]:
    """The same of a compressed file, of which only the beginning is read if it is long."""
    try:
        with open_regular(path) as file, compressed.unpacking(file) as unpacked:
            data = unpacked.read(_WHOLE)
            yield data if len(data) < _WHOLE else data[: data.rfind(b"\n") + 1]
    except (SourceError, *compressed.BROKEN):
        return
