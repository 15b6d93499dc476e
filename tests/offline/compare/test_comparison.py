"""Comparisons of arbitrary configurations over arbitrary logs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.configuration import loading
from sidecar.offline.compare import shared_reading
from sidecar.offline.compare.ban_diff import AFTER, BEFORE
from sidecar.offline.compare.comparison import Comparison
from sidecar.offline.log_replay import Replay

CONFIG = Path(__file__).parents[3] / "config"
NOW = 1767744000.0
HOSTS = ["198.51.100.1", "198.51.100.2", "203.0.113.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
BAD = (
    "Jan  5 {:02}:{:02}:00 mail postfix/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x\n"
)
GET = "Jan  5 {:02}:{:02}:00 mail postfix/smtpd[1]: warning: non-SMTP command from unknown[{}]: GET / HTTP/1.1\n"
GOOD = "Jan  5 {:02}:{:02}:00 mail postfix/smtpd[1]: 3F2A1BC: client=h[{}], sasl_method=LOGIN, sasl_username=bob\n"

lines = st.lists(
    st.builds(
        lambda text, minute, host: (minute, text.format(minute // 60, minute % 60, host)),
        st.sampled_from([BAD, BAD, BAD, GET, GOOD]),
        st.integers(0, 24 * 60 - 1),
        st.sampled_from(HOSTS),
    ),
    max_size=40,
).map(lambda drawn: "".join(text for _, text in sorted(drawn)))
options = st.tuples(
    st.sampled_from(["smtp", "other"]),
    st.integers(1, 4).map("maxretry = {}".format),
    st.sampled_from(["10m", "2h", "1d"]).map("findtime = {}".format),
    st.sampled_from(["30m", "1d", "-1"]).map("bantime = {}".format),
    st.sampled_from(
        ["", "bantime.increment = true\nbantime.rndtime = 60", "zmban.ipv4_prefix = 24", "zmban.dry_run = 1"]
    ),
    st.sampled_from(
        ["", "zmban.count = logins", "ignoreip = 198.51.100.1", "failregex = from \\S+\\[<HOST>\\]: GET"]
    ),
)
configurations = st.lists(options, max_size=2, unique_by=lambda one: one[0])


@contextmanager
def loaded(*drawn: list[tuple[str, ...]], text: str) -> Iterator[list[loading.Loaded]]:
    """The configurations, and the log that all their jails read."""
    with TemporaryDirectory() as name:
        log = Path(name, "zimbra.log")
        log.write_text(text, encoding="utf-8")
        found = []
        for number, jails in enumerate(drawn):
            place = Path(name, str(number))
            (place / "filter.d").mkdir(parents=True)
            shutil.copy(CONFIG / "filter.d/zimbra-smtp.conf", place / "filter.d")
            shutil.copy(CONFIG / "filter.d/zimbra-common.conf", place / "filter.d")
            sections = [
                f"[{jail}]\nenabled = 1\nfilter = zimbra-smtp\nlogpath = {log}\n" + "\n".join(rest) + "\n"
                for jail, *rest in jails
            ]
            (place / "jail.local").write_text("".join(sections), encoding="utf-8")
            found.append(loading.load([str(place)]))
        yield found


def compared(before: loading.Loaded, after: loading.Loaded) -> Comparison:
    # A worker that has run other tests has many objects to look at.
    one = Comparison(before, after, UTC, NOW, {}, free=lambda: None)
    one.run(lambda _: None)
    return one


def changes(one: Comparison, side: int) -> list[dict[str, Any]]:
    """The records of one side without what names the side."""
    return [{key: value for key, value in record.items() if key != "event"} for record in one.changes(side)]


@settings(max_examples=40, deadline=None)
@given(configurations, lines)
def test_a_configuration_compared_with_itself_differs_in_nothing(
    jails: list[tuple[str, ...]], text: str
) -> None:
    with loaded(jails, text=text) as (only,):
        one = compared(only, only)
        assert (changes(one, BEFORE), changes(one, AFTER)) == ([], [])
        for jail in one.jails():
            assert jail["in"] == "both"
            assert not any(jail[key] for key in ("gained", "lost", "earlier", "later", "longer", "shorter"))
            for key in ("bans", "networks", "known_good", "refused", "dry"):
                assert jail[f"{key}_before"] == jail[f"{key}_after"]


SWAPPED = {"gained": "lost", "earlier": "later", "longer": "shorter"}
SWAPPED |= {other: one for one, other in SWAPPED.items()}


@settings(max_examples=60, deadline=None)
@given(configurations, configurations, lines)
def test_before_and_after_swapped_swap_gained_and_lost(
    jails: list[tuple[str, ...]], others: list[tuple[str, ...]], text: str
) -> None:
    with loaded(jails, others, text=text) as (before, after):
        one, other = compared(before, after), compared(after, before)
        key = lambda record: (record["at"], record["jail"], record["network"])  # noqa: E731
        for side in (BEFORE, AFTER):
            assert sorted(changes(one, side), key=key) == sorted(changes(other, 1 - side), key=key)
        swapped = {jail["jail"]: jail for jail in other.jails()}
        for jail in one.jails():
            there = swapped[jail["jail"]]
            for name, opposite in SWAPPED.items():
                assert jail[name] == there[opposite]
            assert jail["networks_before"] == there["networks_after"]
            assert jail["networks_after"] == jail["networks_before"] + jail["gained"] - jail["lost"]
        total = one.summary()
        assert total["gained"] == len(changes(one, AFTER))
        assert total["known_good_after"] - total["known_good_gained"] == len(list(one.hits()))


@settings(max_examples=40, deadline=None)
@given(configurations, configurations, lines, st.booleans())
def test_each_side_decides_as_a_replay_of_it_alone(
    jails: list[tuple[str, ...]], others: list[tuple[str, ...]], text: str, kept: bool
) -> None:
    with loaded(jails, others, text=text) as both, pytest.MonkeyPatch.context() as patch:
        if not kept:
            # Too many candidate lines to keep: the log is read again.
            patch.setattr(shared_reading, "_MOST_KEPT", 0)
        one = compared(*both)
        for name, configuration in zip(("before", "after"), both, strict=True):
            alone = Replay.of(configuration, UTC, NOW)
            list(alone.events(alone.logs({})))
            mine, theirs = one.summary()[name], alone.summary()
            for key in ("lines", "bytes", "matches", "failures", "bans", "refused"):
                assert mine[key] == theirs[key]
