"""The database with changing permissions, without descriptors, and on a failing disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.app.persist import recovery
from sidecar.store.database import FILE
from sidecar.store.repair import damage
from tests.app.running import Running, until
from tests.app.test_service import EVIL, blackholes
from tests.faults.trouble import BANNED, NEW, PATIENCE, attackers, is_whole_again, rows
from tests.netns import Namespace, program, run
from tests.store.damaging import realistic

# Root without the capabilities that override file permissions.
POOR = ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.kernel
def test_permissions_taken_while_running_and_given_back_cost_nothing(
    host: Namespace, running: Running
) -> None:
    running.by = [program("setpriv", "util-linux"), *POOR]
    attackers(running)
    running.ask("unban", "2001:db8:7::7")
    until(lambda: rows(running, "SELECT count(*) FROM history") == [(1,)])
    before = rows(running, "SELECT count(*) FROM evidence")
    running.state.chmod(0)
    running.attack(NEW)
    until(lambda: NEW in blackholes(host))
    until(lambda: "Permission denied" in running.get("/readyz")[1])
    # Meanwhile the service checks table, suspension and files set aside.
    assert running.ask("status")[0]["enforced"]
    running.state.chmod(0o700)
    is_whole_again(host, running, BANNED - {"2001:db8:7::/64"})
    assert not damage.aside(running.state / FILE)
    assert rows(running, "SELECT count(*) FROM history") == [(1,)]
    assert rows(running, "SELECT count(*) FROM evidence") >= before


@pytest.mark.kernel
@pytest.mark.parametrize("what", ["", FILE])
def test_a_database_that_may_not_be_read_at_a_start_is_left_as_it_is_until_it_may(
    host: Namespace, running: Running, what: str
) -> None:
    running.by = [program("setpriv", "util-linux"), *POOR]
    attackers(running)
    running.stop()
    place = running.state / what
    mode = place.stat().st_mode
    os.chown(place, 65534, 65534)
    place.chmod(0)
    running.launch()
    until(lambda: "unable to open" in running.get("/readyz")[1] or "ermi" in running.get("/readyz")[1])
    assert blackholes(host) == BANNED
    running.attack(NEW)
    until(lambda: NEW in blackholes(host))
    os.chown(place, 0, 0)
    place.chmod(mode)
    # The service ends, to be restarted with the readable file.
    assert running.process is not None
    running.process.wait(PATIENCE)
    running.start()
    until(lambda: blackholes(host) == BANNED | {NEW})
    assert {r["origin"] for r in running.ask("bans")} == {"log", "manual"}
    assert not damage.aside(running.state / FILE)


def test_without_descriptors_a_database_is_left_as_it_is(tmp_path: Path) -> None:
    bans = realistic(tmp_path, 300)
    before = (tmp_path / FILE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    for more in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
        try:
            store = recovery.opened(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if store.failing:
            # Either the file was not readable and is not overwritten, or all of it was read.
            assert store.unread or len(list(store.database.active_bans())) == len(bans)
            if store.unread:
                with pytest.raises(recovery.UnreadError):
                    recovery.returned(tmp_path, store)
        else:
            assert len(list(store.database.active_bans())) == len(bans)
        store.database.close()
        assert not damage.aside(tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == before


@contextlib.contextmanager
def breaking(root: Path, state: Path) -> Iterator[Path]:
    """A small disk for the state directory; yields its image file."""
    image = root / "disk"
    image.touch()
    os.truncate(image, 32 << 20)
    run(program("mkfs.ext4", "e2fsprogs"), "-q", "-O", "^has_journal", str(image))
    run(program("mount", "mount"), "-o", "loop", str(image), str(state))
    try:
        yield image
    finally:
        run(program("umount", "mount"), "-l", str(state))


def test_what_a_disk_does_not_give_back_costs_what_stands_there_and_no_more(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with breaking(tmp_path, state) as image:
        bans = realistic(state, 3000)
        with (state / FILE).open("rb") as file:
            os.fsync(file)
            size = os.fstatvfs(file.fileno()).f_bsize
            count = (state / FILE).stat().st_size // size
            blocks = [
                struct.unpack("i", fcntl.ioctl(file, 1, struct.pack("i", n)))[0]  # FIBMAP
                for n in range(count)
            ]
            os.sync()
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            os.truncate(image, blocks[count // 2] * size)
            with pytest.raises(OSError, match="Input/output"):
                os.pread(file.fileno(), size, (count // 2) * size)
        store = recovery.opened(state)
        found = {ban.network for ban in store.database.active_bans()}
        assert found <= {ban.network for ban in bans}
        assert len(found) > len(bans) // 5
        assert store.lost == "the database was damaged"
        store.database.close()


@pytest.mark.kernel
def test_a_stop_while_a_damaged_database_is_read_waits_for_none_of_it(
    host: Namespace, running: Running
) -> None:
    realistic(running.state, 60_000)
    os.truncate(running.state / FILE, (running.state / FILE).stat().st_size * 9 // 10)
    running.start()
    assert running.metric('zmban_store_failing{reason="salvage"}') == 1
    assert running.ask("status")[0]["salvage"][0]["pages_read"] > 0
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
