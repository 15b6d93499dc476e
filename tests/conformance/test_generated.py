"""Generated configuration directories resolve as with Debian's fail2ban-client."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from tests.conformance import oracle, ours
from tests.conformance.generated import EVERYTHING, Features, directories, write

pytestmark = pytest.mark.conformance

# Each example runs fail2ban-client, which takes a tenth of a second. Shrinking a failing example takes minutes:
# set ZMBAN_THOROUGH=1 to shrink, and to run more examples.
THOROUGH = bool(os.environ.get("ZMBAN_THOROUGH"))
EXAMPLES = 600 if THOROUGH else 30
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if THOROUGH else []))


def differences(texts: dict[str, str], tally: Counter[str]) -> list[str]:
    """Every field of every jail that differs; none if Fail2Ban does not start."""
    with tempfile.TemporaryDirectory(prefix="zmban-generated-") as place:
        directory = Path(place)
        write(texts, directory)
        dumped = oracle.dump(directory)
        if dumped.status:
            tally["refused"] += 1
            return []
        tally["jails"] += len(dumped.jails)
        tally["skipped"] += len(dumped.skipped)
        configuration = ours.load([directory])
        found = []
        for name, expected in dumped.jails.items():
            if not expected.failregex:
                # Fail2Ban runs such a jail without effect; zmban reports a fault.
                tally["skipped"] += 1
            elif name in configuration.jails:
                own = ours.resolved(configuration.jails[name])
                found += [f"{name}: {difference}" for difference in ours.differences(expected, own)]
            else:
                faults = [str(f) for f in configuration.faults if not f.warning and f.jail in (name, None)]
                found.append(f"{name}: does not run here: {faults}".replace(place, ""))
    return found


def check(features: Features) -> None:
    """Generate directories with these features and compare; Fail2Ban must accept most of them."""
    tally: Counter[str] = Counter()

    # Directories are large and slow to generate, and the run of a program has no fixed duration.
    @settings(
        max_examples=EXAMPLES,
        phases=PHASES,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(directories(features))
    def compared(texts: dict[str, str]) -> None:
        found = differences(texts, tally)
        if found:
            for name, text in texts.items():
                note(f"--- {name}\n{text}")
        assert not found, "\n".join(found)

    compared()
    assert tally["refused"] * 5 < EXAMPLES, f"too many are refused to say anything: {tally}"
    assert tally["skipped"] * 5 < tally["jails"], f"too many jails are skipped to say anything: {tally}"


def test_a_tidy_directory_resolves_alike() -> None:
    check(Features())


def test_comments_continuations_and_odd_indentation_are_read_alike() -> None:
    check(Features(untidy=True))


def test_the_same_files_are_found_and_the_later_wins_alike() -> None:
    check(Features(layers=True))


def test_references_to_other_options_are_resolved_alike() -> None:
    check(Features(references=True, layers=True))


def test_parameters_are_put_into_tags_alike() -> None:
    check(Features(tags=True))


def test_a_jails_own_options_are_read_alike() -> None:
    check(Features(jails=True, references=True))


def test_everything_at_once_resolves_alike() -> None:
    check(EVERYTHING)
