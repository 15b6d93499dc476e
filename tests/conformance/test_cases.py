"""zmban's reader resolves each test case as Fail2Ban's reader does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.conformance import cases, oracle, ours
from tests.conformance.cases import CASES, Case

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cases") / "fail2ban"
    cases.write(place)
    return place


# One run of each for all cases.
dumped = cache(oracle.dump)
loaded = cache(lambda directory: ours.load([directory]))


def test_fail2ban_takes_every_case(directory: Path) -> None:
    done = dumped(directory)
    assert done.status == 0, done.reason
    assert done.skipped == {}
    assert len(done.jails) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_a_case_resolves_alike(directory: Path, case: Case) -> None:
    name = cases.name(case)
    configuration = loaded(directory)
    faults = [
        str(fault) for fault in configuration.faults if fault.jail in (name, None) and not fault.warning
    ]
    assert name in configuration.jails, f"it does not run here: {faults}"
    wrong = list(ours.differences(dumped(directory).jails[name], ours.resolved(configuration.jails[name])))
    assert not wrong, "\n".join(wrong)
