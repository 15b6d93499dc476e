"""Podman of the next Debian release, in a root file system of its own: plays pods of Kubernetes on this host."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.netns import Namespace
from tests.trixie import trixie

ROOT = Path(__file__).parents[2]
_QUIET = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
_HOLD = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
for place in proc sys dev; do mount --rbind "/$place" "$2/root/$place"; done
mkdir -p "$2/root/var/lib/containers"
mount --bind "$2/containers" "$2/root/var/lib/containers"
mount -t tmpfs tmpfs "$2/root/run"
mount -t tmpfs tmpfs "$2/root/tmp"
echo ready
exec sleep infinity
"""


class Podman:
    """One Podman with a storage of its own, in a network namespace. `root` is what it takes for the host's file
    system."""

    def __init__(self, place: Path, host: Namespace) -> None:
        self.place, self.root, self._host = place, place / "root", host
        for name in ("upper", "work", "root", "containers"):
            (place / name).mkdir()
        command = ["unshare", "--mount", "sh", "-c", _HOLD, "sh", trixie(), str(place)]
        with host.inside():
            self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        with self._holder.stdout as said:
            assert said.readline() == "ready\n"

    def run(
        self, *command: str, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in its root file system, network and mounts."""
        inside = ["nsenter", "-t", str(self._holder.pid), "-m", "-n", "chroot", str(self.root), *command]
        done = subprocess.run(
            inside,
            capture_output=True,
            text=True,
            input=stdin,
            env={**os.environ, **_QUIET},
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done

    def podman(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run podman; returns what it prints."""
        return self.run("podman", *arguments, check=check, stdin=stdin).stdout

    def load(self, image: str) -> None:
        """Take an image of Docker."""
        archive = self.place / "containers/image.tar"
        subprocess.run(["docker", "save", "-o", str(archive), image], check=True)
        self.podman("load", "-q", "-i", "/var/lib/containers/image.tar")
        archive.unlink()

    def write(self, path: str, text: str, *, add: bool = False) -> None:
        """Write a file of the host that the pods see."""
        file = self.inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if add else "w") as opened:
            opened.write(text)

    def inside(self, path: str) -> Path:
        """The path of a file as this process sees it."""
        return Path(f"/proc/{self._holder.pid}/root{self.root}{path}")

    def close(self) -> None:
        """Stop all pods, and leave nothing behind."""
        self.podman("pod", "rm", "-f", "-a", "-t", "5", check=False)
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()
        shutil.rmtree(self.place, ignore_errors=True)


@contextmanager
def podman(place: Path, host: Namespace) -> Iterator[Podman]:
    """A Podman for as long as the context lasts."""
    found = Podman(place, host)
    try:
        yield found
    finally:
        found.close()
