"""Configuration directories that nobody wrote resolve to the same as with Debian's own fail2ban-client."""

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

# Each example is a run of fail2ban-client, a tenth of a second, for all of its jails. To shrink one that fails
# takes minutes: ZMBAN_THOROUGH=1 is for who mends it, or wants to know it for more examples.
THOROUGH = bool(os.environ.get("ZMBAN_THOROUGH"))
EXAMPLES = 600 if THOROUGH else 30
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if THOROUGH else []))


def differences(texts: dict[str, str], tally: Counter[str]) -> list[str]:
    """Every field of every jail in which the two differ; none where Fail2Ban itself does not start."""
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
                # Such a jail runs there and finds nothing; here it is a fault.
                tally["skipped"] += 1
            elif name in configuration.jails:
                own = ours.resolved(configuration.jails[name])
                found += [f"{name}: {difference}" for difference in ours.differences(expected, own)]
            else:
                faults = [str(f) for f in configuration.faults if not f.warning and f.jail in (name, None)]
                found.append(f"{name}: does not run here: {faults}".replace(place, ""))
    return found


def check(features: Features) -> None:
    """Make up directories with these features and compare; most of them must be ones that Fail2Ban takes."""
    tally: Counter[str] = Counter()

    # Whole directories are large and take long to make, and a run of a program takes as long as it takes.
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
