"""The names of containers' logs: what a glob finds, whose log it is, by what grammar it is read."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from sidecar.detect.grammar import of_log
from sidecar.sources.container.container_log import ContainerLog
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.kinds import file_path, files_of, kind_of, label, log_name

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        (f"cri:/var/log/containers/mta-0_zimbra_postfix-{ID}.log", "zimbra/mta-0/postfix"),
        (
            f"cri:/var/log/containers/web-7d4-x2_mail-prod_nginx-proxy-{ID}.log",
            "mail-prod/web-7d4-x2/nginx-proxy",
        ),
        ("cri:/var/log/pods/zimbra_mta-0_6f1c-22/postfix/3.log", "zimbra/mta-0/postfix"),
        ("cri:/srv/copy/zimbra.log", "cri:/srv/copy/zimbra.log"),
        ("cri:/var/log/containers/mta-*_zimbra_*.log", "cri:/var/log/containers/mta-*_zimbra_*.log"),
        ("/var/log/zimbra.log", "/var/log/zimbra.log"),
    ],
)
def test_metrics_call_a_log_by_its_pod_and_anything_else_by_its_name(name: str, whose: str) -> None:
    assert label(name) == whose


def test_the_name_of_a_pod_chooses_no_grammar_but_that_of_a_copied_file_does() -> None:
    # "maillog" at the beginning of a file name is that of Postfix.
    assert of_log(log_name(f"cri:/var/log/containers/maillog-0_zimbra_web-{ID}.log")) is None
    assert of_log(log_name("cri:/srv/copy/zimbra.log")) == "zimbra"


def test_a_glob_finds_links_with_a_file_and_keeps_a_known_one_until_it_is_let_go(tmp_path: Path) -> None:
    alive, dead = tmp_path / f"a_z_c-{ID}.log", tmp_path / f"b_z_c-{ID}.log"
    (tmp_path / "0.txt").touch()
    alive.symlink_to(tmp_path / "0.txt")
    dead.symlink_to(tmp_path / "gone")
    pattern = f"cri:{tmp_path}/*.log"
    assert files_of(pattern) == [f"cri:{alive}"]
    answer = kind_of(pattern).look_up(pattern, [f"cri:{dead}"])
    assert {name: bool(key) for name, key in answer.found.items()} == {
        f"cri:{alive}": True,
        f"cri:{dead}": False,
    }
    assert answer.why == ""
    assert file_path(f"cri:{alive}") == str(alive)


async def test_what_is_no_line_of_a_container_is_told_with_the_cure(tmp_path: Path) -> None:
    log = tmp_path / "zimbra.log"
    log.write_bytes(b"Nov 27 10:00:00 mta postfix/smtpd[1]: \x1b[31mconnect\n" * 3)
    watcher = FileWatcher()
    source = ContainerLog(f"cri:{log}", watcher, Disk("x"))
    reached = asyncio.Event()
    source.on_end(reached.set)

    async def read() -> bytes:
        async with aclosing(source.blocks()) as blocks:
            return b"".join([block.data async for block in blocks])

    task = asyncio.create_task(read())
    async with asyncio.timeout(5):
        await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (told,) = source.unread
    assert told.startswith(
        f"cri:{log}: 3 lines are neither in CRI format nor Docker's JSON, and skipped; the first begins with"
    )
    assert told.endswith("if this is no log of a container, name it without cri:")
    assert told.isprintable()
    # They are not read again.
    assert source.positions[0].offset == log.stat().st_size
