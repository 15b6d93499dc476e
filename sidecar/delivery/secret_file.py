"""Reads a small file with secrets, such as a mounted Secret of Kubernetes."""

from __future__ import annotations

from pathlib import Path

_MOST_BYTES = 1 << 16


def read_secret(path: str) -> str:
    """The text of a file; ValueError with the reason, never with the text. Only regular files are opened: a
    FIFO would block for ever."""
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise ValueError(f"{path} is not a regular file")
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
