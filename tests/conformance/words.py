"""The vocabulary of generated configurations: names, values, parts of regexes."""

from __future__ import annotations

# Times for jails; each is converted once by Fail2Ban.
TIMES = (
    "600", "10m", "1d12h", "60*60", "1y6mo", "1.5h", "1mo", "0d 1h 30m", "1M", "2weeks", "1hour+30min", "1year-6mo",
    "3DAYS", "1w 2d", "(5+5)*60", "1h30", "90 minutes", "1 day", "3600/2", "4mon", "2ww", "1dd", "10 s", "+5m",
)  # fmt: skip
LITERALS = (
    "foo", "a b", "^x", r"\S+", "(?:a|b)", "b$", "x;y", "k=v", "k: v", "[a-z]", "9%%", '"q"', "it's", "#h", "a # h",
    "ünï", "<W>", "<br>", r"\d{1,3}", "a,b", r"\\", "<", ">", "&", "\\[c\\]", "<a b>",
)  # fmt: skip
# By rank: each may refer to earlier ones. `mode` selects one of the blocks.
LINES = ("word", "_daemon", "__prefix", "par-a", "par.b", "wide")
MODES = ("normal", "extra")
BLOCKS = tuple(f"mdre-{mode}" for mode in MODES)
DATES = (
    "{^LN-BEG}",
    "%%Y-%%m-%%d %%H:%%M:%%S",
    "{^LN-BEG}%%b %%d %%H:%%M:%%S",
    "{DEFAULT}",
    "EPOCH",
    r"^\[%%Y\]",
)
JOURNAL = ("_SYSTEMD_UNIT=x.service + _COMM=x", "A=b", 'A="b c" D=e', "A=b\nC=d + E=f")
# Files that are read last, or only if they are included.
UNCERTAIN = ("filter.d/over.conf", "filter.d/common.local")
VALUES = ("v", "a b", "a,b", "x]y", "", "it's", 'q"q', "k=v", " v ", "%(var)s")
ADDRESSES = (
    "192.0.2.1",
    "198.51.100.0/24",
    "2001:db8::/32",
    "127.0.0.1/8",
    "::1",
    "203.0.113.0/255.255.255.0",
)
