"""Growing ban times: test vectors computed by Fail2Ban."""

import pytest

from sidecar.fail2ban.increment import Increment, weight
from sidecar.model import LONGEST

COUNTS = (1, 2, 3, 4, 5, 10, 20, 25)
EXPONENTIAL = "ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)"


@pytest.mark.parametrize(
    ("increment", "expected"),
    [
        (Increment(), (1200, 2400, 4800, 9600, 19200, 614400, 629145600, 629145600)),
        (Increment(factor=2.0), (2400, 4800, 9600, 19200, 38400, 1228800, 1258291200, 1258291200)),
        (
            Increment(multipliers=(1, 5, 30, 60, 300, 720, 1440, 2880)),
            (3000, 18000, 36000, 180000, 432000, 1728000, 1728000, 1728000),
        ),
        (Increment(maxtime=3600), (1200, 2400, 3600, 3600, 3600, 3600, 3600, 3600)),
        (
            Increment(formula=EXPONENTIAL, factor=2.0 / 2.885385),
            (1200, 2400, 4800, 9600, 19200, 614408, 629160961, 3155760000),
        ),
    ],
)
def test_a_ban_time_grows_with_each_ban(increment: Increment, expected: tuple[int, ...]) -> None:
    # The last value of the exponential formula would be 638 years; it is limited to a hundred.
    assert tuple(increment.seconds(600, count, 0.0) for count in COUNTS) == expected


def test_the_first_ban_has_the_plain_time_without_rndtime() -> None:
    assert Increment(rndtime=100).seconds(600, 0, 0.99) == 600


def test_rndtime_is_added_after_maxtime() -> None:
    assert Increment(maxtime=1000, rndtime=100).seconds(600, 5, 0.5) == 1050


def test_a_formula_never_shortens_a_ban() -> None:
    assert Increment(formula="ban.Time / 100").seconds(600, 3, 0.0) == 600


@pytest.mark.parametrize(
    "formula",
    ["__import__('os').system('x')", "ban.Time ** 99999", "1 << 999999", "open('/x')", "ban.x", "1/0"],
)
def test_a_formula_is_never_evaluated_as_a_program(formula: str) -> None:
    with pytest.raises(ValueError):
        Increment(formula=formula).check()


@pytest.mark.parametrize(
    "formula", ["ban.Time * 10.0**(ban.Count*100)", "ban.Time / (5-ban.Count)", "1e307*2**ban.Count"]
)
def test_the_time_doubles_if_a_formula_fails_at_a_later_ban(formula: str) -> None:
    grown = Increment(formula=formula)
    grown.check()
    assert all(600 <= grown.seconds(600, count, 0.5) <= LONGEST for count in range(40))
    assert grown.seconds(600, 5, 0.0) in (19200, LONGEST)


def test_no_ban_time_grows_beyond_a_century_even_with_rndtime() -> None:
    assert Increment(rndtime=LONGEST).seconds(LONGEST, 5, 0.99) == LONGEST


def test_an_address_with_earlier_bans_needs_fewer_failures() -> None:
    assert [weight(count, 100) for count in (0, 1, 2, 3, 4, 5)] == [1, 2, 3, 5, 9, 17]
    assert weight(30, 5) == 5
