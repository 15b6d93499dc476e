"""Each stock jail, if enabled, resolves as with Debian's fail2ban-client."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.conformance import corpus, ours, package
from tests.conformance.oracle import forced_on, jail_names, resolved, resolved_filters

pytestmark = pytest.mark.conformance


def stock_jails() -> list[str]:
    """For parametrization only: without the package, each test fails with the reason."""
    try:
        return jail_names(package.stock())
    except package.NoPackageError:
        return ["any jail"]


@pytest.fixture(scope="module")
def enabled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("stock") / "fail2ban"
    forced_on(package.stock(), directory)
    return directory


# One run of each for all jails.
theirs = cache(resolved)
loaded = cache(lambda directory: ours.load([directory]))


@pytest.mark.parametrize("jail", stock_jails())
def test_a_stock_jail_resolves_as_in_fail2ban(enabled: Path, jail: str) -> None:
    expected = theirs(enabled)[jail]
    configuration = loaded(enabled)
    faults = [fault for fault in configuration.faults if fault.jail == jail and not fault.warning]
    if jail in configuration.jails:
        wrong = list(ours.differences(expected, ours.resolved(configuration.jails[jail])))
    else:
        assert faults and all(map(ours.refused_on_purpose, faults)), [str(fault) for fault in faults]
        wrong = ours.filter_differences(enabled, ours.filter_text(configuration, jail), expected)
    assert not wrong, "\n".join(wrong)


def test_every_filter_of_the_corpus_resolves_as_in_fail2ban_whatever_its_options() -> None:
    sessions = [s for name in corpus.filters() for s in corpus.sessions(name) if not name.startswith("zzz-")]
    wanted = list(dict.fromkeys(session.text for session in sessions))
    expected = resolved_filters(package.stock(), wanted)
    assert sorted(expected) == sorted(wanted)
    wrong = [
        f"{text}: {difference}"
        for text in wanted
        for difference in ours.filter_differences(package.stock(), text, expected[text])
    ]
    assert not wrong, "\n".join(wrong)
