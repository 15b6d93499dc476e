"""Custom date patterns give the same time and the same text as with Debian's fail2ban-regex."""

from __future__ import annotations

import ast
from datetime import UTC, datetime

import pytest

from sidecar.detect.grammar import Trust
from sidecar.fail2ban.filters import inline
from sidecar.offline.lines import regex_test
from tests.conformance import package

pytestmark = pytest.mark.conformance
YEAR = datetime.now(UTC).year

CASES = [
    ("%Y %j %H:%M:%S", "2026 033 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("%Y %U %w %H:%M:%S", "2026 33 3 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("%Y %W %a %H:%M", "2026 33 Mon 10:00 x 198.51.100.7", "^ x <HOST>"),
    ("%y%m%d %I:%M:%S %p", "260313 01:00:00 pm x 198.51.100.7", "^ x <HOST>"),
    ("%A %d %B %Y %H:%M:%S", "Friday 13 March 2026 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("%c", "Fri Mar 13 10:00:00 2026 x 198.51.100.7", "^ x <HOST>"),
    ("%x %X", "03/13/26 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("LEPOCH", "1773396000123 x 198.51.100.7", "^ x <HOST>"),
    ("{LEPOCH}", "a 1773396000123456 x 198.51.100.7", "^a  x <HOST>"),
    ("EPOCH", "[1773396000.500] x 198.51.100.7", r"^\[\] x <HOST>"),
    ("EPOCH", "audit(1773396000.123:9) x 198.51.100.7", r"^audit\(:9\) x <HOST>"),
    ("a={EPOCH}", "a=1773396000 x 198.51.100.7", "^ x <HOST>"),
    ("{UNB}%Y%m%d%H%M%S", "foo20260313100000x 198.51.100.7", "^foox <HOST>"),
    ("%Y%m%d%H%M%S**", "foo 20260313100000x 198.51.100.7", "^foo x <HOST>"),
    ("**%Y%m%d%H%M%S", "foo20260313100000 x 198.51.100.7", "^foo x <HOST>"),
    ("time={DATE}", "time=2026-03-13 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("^<W>{DATE}", "<W>2026-03-13 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ('date="(%Y-%m-%d %H:%M:%S)"', 'date="2026-03-13 10:00:00" x 198.51.100.7', '^date="" x <HOST>'),
    ("%Y-%m-%d %H:%M:%S %Exz", "2026-03-13 10:00:00 CEST x 198.51.100.7", "^ x <HOST>"),
    ("%Y-%m-%d %H:%M:%S %z", "2026-03-13 10:00:00 +0530 x 198.51.100.7", "^ x <HOST>"),
    ("{^LN-BEG}%Y-%m-%d %H:%M", "[ 2026-03-13 10:00] x 198.51.100.7", r"^\[ \] x <HOST>"),
    ("TAI64N", "@4000000037c219bf2ef02e94 x 198.51.100.7", "^ x <HOST>"),
    ("{DEFAULT}", "x 13/Mar/2026:10:00:00 +0100 198.51.100.7", "^x  <HOST>"),
    ("{DEFAULT}", "x foo 5/Jan/2026 10:00:00 198.51.100.7", "^x foo <HOST>"),
    ("{DEFAULT}", f"13-03-{YEAR} 10:00:00 x 198.51.100.7", "^ x <HOST>"),
    ("{DEFAULT}", "<03/13/26@10:00:00> x 198.51.100.7", "^ x <HOST>"),
]


@pytest.mark.parametrize(("pattern", "line", "failregex"), CASES, ids=[c[0] + " " + c[1][:24] for c in CASES])
def test_a_date_is_read_and_cut_out_alike(pattern: str, line: str, failregex: str) -> None:
    told = package.regex("-d", pattern, "-o", "row", line, failregex, zone="UTC").stdout
    host, at, _ = ast.literal_eval(told.strip().removesuffix(","))
    spec, faults = inline(failregex, datepattern=pattern)
    assert faults == []
    options = regex_test.ReadOptions(UTC, datetime.now(UTC).timestamp(), Trust(()))
    (reading,) = regex_test.read([line], spec, options, "")
    assert (reading.host, reading.time) == (host, int(at))
