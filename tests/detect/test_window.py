"""The exact sliding window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.count.window import Window
from sidecar.network import Network

WHO = Network.parse("203.0.113.7")


@pytest.mark.parametrize(
    ("times", "counts"),
    [
        ([0, 100, 200, 300, 700], [1, 2, 3, 4, 3]),
        ([0, 590, 601, 602, 603], [1, 2, 2, 3, 4]),
        ([0, 599, 1198, 1797, 2396], [1, 2, 2, 2, 2]),
        ([0, 300, 600, 900, 1200, 1500], [1, 2, 2, 2, 2, 2]),
        ([1000, 500, 0, 1100], [1, 2, 2, 2]),
    ],
)
def test_a_window_counts_exactly(times: list[float], counts: list[int]) -> None:
    for index, expected in enumerate(counts):
        reached = []
        for maxretry in range(1, 6):
            window = Window(600, maxretry, 5)
            verdicts = [window.add(WHO, t, "") for t in times[: index + 1]]
            if verdicts[-1] is not None and all(v is None for v in verdicts[:-1]):
                reached.append(maxretry)
        assert all(maxretry <= expected for maxretry in reached)
        assert reached == [] or max(reached) == expected


def test_reaching_maxretry_returns_the_failures_and_drops_the_network() -> None:
    window = Window(60, 3, 2)
    assert window.add(WHO, 1, "a") is None
    assert window.add(WHO, 2, "b") is None
    seen = window.add(WHO, 3, "c")
    assert seen is not None
    assert seen == (3, ("b", "c"), 3)
    assert window.count(WHO) == 0


def test_only_the_last_lines_are_kept() -> None:
    window = Window(60, 6, 2)
    told = [window.add(WHO, second, f"line {second}") for second in range(6)][-1]
    assert told is not None
    assert told == (6, ("line 4", "line 5"), 5)


def test_forgetting_a_network_forgets_the_addresses_inside_it() -> None:
    window = Window(60, 9, 2)
    window.add(WHO, 1, "")
    window.add(Network.parse("198.51.100.1"), 1, "")
    assert window.forget(Network.parse("203.0.113.0/24"))
    assert list(window) == [Network.parse("198.51.100.1")]


def test_an_earlier_failure_that_is_read_later_counts_with_those_after_it() -> None:
    window = Window(60, 2, 2)
    assert window.add(WHO, 100, "the second") is None
    assert window.add(WHO, 95, "the first") == (2, ("the first", "the second"), 100)
    assert window.add(WHO, 100, "") is None
    assert window.add(WHO, 40, "too long before") is None
    assert window.count(WHO) == 1


def test_pruning_drops_networks_without_recent_failures() -> None:
    window = Window(60, 9, 2)
    window.add(WHO, 1, "")
    list(window.prune(60))
    assert len(window) == 1
    list(window.prune(61))
    assert len(window) == 0


def test_pruning_in_steps_keeps_networks_that_fail_meanwhile() -> None:
    window, many = Window(60, 9, 0), 25_000
    for number in range(many):
        window.add(Network(4, number + (1 << 24), 32), 1, "")
    steps = window.prune(61)
    next(steps)
    last = Network(4, many - 1 + (1 << 24), 32)
    window.add(last, 50, "")
    assert 0 < len(window) < many
    list(steps)
    assert list(window) == [last]


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.sampled_from([1, 1, 1, 2])), max_size=40),
    st.integers(1, 6),
    st.integers(0, 4),
)
def test_a_window_decides_as_a_plain_list_of_failures_would(
    failures: list[tuple[int, int]], maxretry: int, maxmatches: int
) -> None:
    window = Window(300, maxretry, maxmatches)
    standing: list[tuple[int, int, str]] = []
    for number, (at, weight) in enumerate(failures):
        standing.append((at, weight, f"line {number}"))
        # Failures of the same time stay in order; the newest one determines which are dropped.
        standing.sort(key=lambda failure: failure[0])
        standing = [one for one in standing if one[0] > standing[-1][0] - 300]
        enough = None
        if sum(weight for _, weight, _ in standing) >= maxretry:
            lines = [line for _, _, line in standing]
            enough = (len(standing), tuple(lines[-maxmatches:] if maxmatches else ()), standing[-1][0])
            standing = []
        assert window.add(WHO, at, f"line {number}", weight) == enough
        assert window.count(WHO) == len(standing)
