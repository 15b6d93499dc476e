"""A replay of a whole log makes the same bans as a simple count."""

from datetime import UTC, datetime
from pathlib import Path

from tests.app.plain import replayed, write
from tests.app.running import Running
from tests.cli.running import records, zmban


def test_every_ban_of_a_generated_log_is_right_and_none_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "zimbra.log"
    right = write(path, 60_000)
    found, summary = replayed(path)
    assert found == right
    assert len(found) > 0
    assert summary["lines"] == 60_000
    assert summary["bytes"] == path.stat().st_size


def test_a_replay_bans_whole_prefixes_and_ends_them_with_their_reasons(tmp_path: Path) -> None:
    log = Running(tmp_path, "zmban.widen = 24:3:1d\n").log
    jail = tmp_path / "config/jail.d/test.conf"
    jail.write_text(jail.read_text().replace("bantime = -1", "bantime = 1h"), encoding="utf-8")
    lines = [("10:00", 1), ("10:30", 2), ("10:40", 3), ("10:50", 4), ("11:20", 5), ("20:00", 6)]
    log.write_text(
        "".join(
            f"Nov 20 {at}:{second} mail postfix/smtpd[1]: warning: unknown[203.0.113.{host}]: "
            "SASL LOGIN authentication failed: x\n"
            for at, host in lines
            for second in ("00", "01")
        ),
        encoding="utf-8",
    )
    now = str(datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    options = ("--config", str(tmp_path / "config"), "--now", now, "--timezone", "UTC", "--jsonl")
    *events, summary = records(zmban("replay", *options))
    told = [
        (one["event"], f"{datetime.fromtimestamp(one['at'], UTC):%H:%M:%S}", one.get("until", 0.0))
        for one in events
        if one["network"] == "203.0.113.0/24"
    ]
    ten = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp() + 1
    # The end moves with each reason; the third last of five that are left ends it.
    assert [(word, at) for word, at, _ in told] == [
        ("ban", "10:40:01"),
        ("extend", "10:40:01"),
        ("extend", "10:40:01"),
        ("unban", "11:40:01"),
    ]
    assert [until - ten for _, _, until in told[:3]] == [3600.0, 3600.0 + 1800, 3600.0 + 2400]
    assert summary["bans"] == len(lines) + 1
