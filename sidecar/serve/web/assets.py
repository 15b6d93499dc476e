"""The files of the page, read once."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
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
    """One file: its bytes, its content type, and a tag that changes with it."""

    body: bytes
    kind: str
    tag: str

    @cached_property
    def packed(self) -> bytes:
        """The bytes compressed by gzip, once somebody asks for them."""
        return gzip.compress(self.body, 9, mtime=0)


def assets() -> dict[str, Asset]:
    """All files by path: index.html as `/`, any other as `/page/NAME`."""
    return dict(_found(resources.files("sidecar.serve").joinpath("page"), "/page/"))


def _found(directory: Traversable, path: str) -> Iterator[tuple[str, Asset]]:
    for file in directory.iterdir():
        if file.is_dir():
            yield from _found(file, f"{path}{file.name}/")
        elif kind := _TYPES.get(file.name.rpartition(".")[2]):
            body = file.read_bytes()
            asset = Asset(body, kind, f'"{sha256(body).hexdigest()[:20]}"')
            yield "/" if path + file.name == f"/page/{_INDEX}" else path + file.name, asset
