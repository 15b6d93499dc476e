"""Samples of a log: all of a short one, of a longer one a part here and there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# A log up to this size is read whole; of a longer one a sample is read at every step.
_WHOLE = 16 << 20
_SAMPLE, _STEP = 64 << 10, 4 << 20


def samples(path: str) -> Iterator[bytes]:
    """A log in blocks of whole lines: all of a short one, of a longer one a part here and there. The same of
    the same file."""
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
