"""The files of the page, read and compressed once."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
_INDEX = "index.html"


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, the same compressed by gzip, and a tag that changes with it."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


def assets() -> dict[str, Asset]:
    """All files by path: index.html as `/`, any other as `/page/NAME`."""
    return dict(_found(resources.files("sidecar.serve").joinpath("page"), "/page/"))


def _found(directory: Traversable, path: str) -> Iterator[tuple[str, Asset]]:
    for file in directory.iterdir():
        if file.is_dir():
            yield from _found(file, f"{path}{file.name}/")
        elif kind := _TYPES.get(file.name.rpartition(".")[2]):
            body = file.read_bytes()
            asset = Asset(body, gzip.compress(body, 9, mtime=0), kind, f'"{sha256(body).hexdigest()[:20]}"')
            yield "/" if path + file.name == f"/page/{_INDEX}" else path + file.name, asset
