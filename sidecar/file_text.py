"""The text of a configuration file, whatever encoding an editor saved it in."""

from __future__ import annotations

import codecs


def decoded(raw: bytes) -> tuple[str, str]:
    """The text of a configuration file, and a warning about its encoding ("" for UTF-8). Bytes that are not
    UTF-8 are read as Latin-1, so that one umlaut never loses a file."""
    for name in ("utf-32", "utf-16"):
        if raw.startswith(_MARKS[name]) or _looks_like(raw, 4 if name == "utf-32" else 2):
            text = raw.decode(_with_byte_order(name, raw), errors="replace").removeprefix("\ufeff")
            return (
                text,
                f"is {name.upper()}, as Windows saves it, which Fail2Ban does not read; save it as UTF-8",
            )
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "is not UTF-8 and is read as Latin-1; save it as UTF-8"


_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def _looks_like(raw: bytes, width: int) -> bool:
    """Whether nearly every character takes `width` bytes, all but one of them zero."""
    return len(raw) >= 4 * width and raw.count(0) > len(raw) * (width - 1) // width * 0.9


def _with_byte_order(name: str, raw: bytes) -> str:
    """The encoding name, with its byte order appended if there is no byte order mark."""
    return name if raw.startswith(_MARKS[name]) else f"{name}-{'be' if raw[0] == 0 else 'le'}"
