"""Faults of a configuration that only show when its filters are prepared for scanning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.configuration import loading
from sidecar.detect.prefilter import prefilter
from sidecar.detect.prefilter.multipattern import Engine, ScanError, Text, engine

JAIL = "[{0}]\nenabled = true\nfilter = {0}\nlogpath = /x.log\n"


def test_a_filter_that_cannot_be_scanned_for_stops_its_own_jail_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(texts: Sequence[Text]) -> Engine:
        if any(b"odd" in one.text for one in texts):
            raise ScanError("too odd")
        return engine(texts)

    monkeypatch.setattr(prefilter, "engine", picky)
    (tmp_path / "filter.d").mkdir()
    for name in ("odd", "even"):
        text = f"[Definition]\nfailregex = ^{name} thing from <HOST>$\n"
        (tmp_path / f"filter.d/{name}.conf").write_text(text, encoding="utf-8")
    (tmp_path / "jail.local").write_text(JAIL.format("odd") + JAIL.format("even"), encoding="utf-8")
    found = loading.load([str(tmp_path)]).jails
    assert list(found.jails) == ["even"]
    (fault,) = [fault for fault in found.faults if not fault.warning]
    assert str(fault) == f"{tmp_path}/jail.local:3: filter odd cannot be used: too odd"


def test_a_directory_to_be_tried_replaces_the_last_one_but_never_the_shipped_one() -> None:
    shipped = str(loading._IN_CHECKOUT)
    tried = loading.tried
    assert tried([shipped, "/a"], ["/new"]) == [shipped, "/new"]
    assert tried([shipped, "/a", "/b"], ["/new"]) == [shipped, "/a", "/new"]
    assert tried([shipped, "/a", "/b"], ["/new", "/b"]) == [shipped, "/new", "/b"]
    assert tried([shipped], ["/new"]) == [shipped, "/new"]
    assert tried(["/a"], ["/new"]) == ["/new"]
    # The whole list may be given too.
    assert tried([shipped, "/a"], [shipped, "/new"]) == [shipped, "/new"]
    assert tried(["/a"], ["/a", "/b", "/c"]) == ["/a", "/b", "/c"]
    assert tried([], ["/new"])[0] == str(loading.layers([])[0])
