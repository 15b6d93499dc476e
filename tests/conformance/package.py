"""Debian's fail2ban package, unpacked: paths of its parts, and functions to run its programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fail2ban.sh"
_NAMES = ("python3", "/usr/bin/python3", "python3.11", "python3.10", "python3.9")


class NoPackageError(RuntimeError):
    """The package is not available, with the reason. Tests fail with it instead of being skipped."""


@cache
def fail2ban_package() -> Path:
    """The root of the unpacked package (`etc/fail2ban`, `usr/...`), or of the source checkout in ZMBAN_FAIL2BAN;
    fetched once into a cache outside the tree."""
    done = subprocess.run(["sh", str(_SCRIPT)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoPackageError(f"fail2ban is not available: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def stock() -> Path:
    """Its stock configuration directory: `jail.conf`, `filter.d`, `action.d`."""
    root = fail2ban_package()
    installed = root / "etc" / "fail2ban"
    return installed if installed.is_dir() else root / "config"


def library() -> Path:
    """The PYTHONPATH for its programs."""
    root = fail2ban_package()
    installed = root / "usr" / "lib" / "python3" / "dist-packages"
    return installed if installed.is_dir() else root


def samples() -> Path:
    """Its annotated sample logs, one file per filter."""
    return library() / "fail2ban" / "tests" / "files" / "logs"


def suite_configuration() -> Path:
    """The configuration directory with the two filters of its test suite, zzz-*."""
    return library() / "fail2ban" / "tests" / "config"


def program(name: str) -> Path:
    """`fail2ban-client`, `fail2ban-server` or `fail2ban-regex`."""
    return fail2ban_package() / ("usr/bin" if (fail2ban_package() / "usr").is_dir() else "bin") / name


def environment() -> dict[str, str]:
    """The environment in which its programs find their library."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONWARNINGS")}
    return {**kept, "PYTHONPATH": str(library()), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}


@cache
def interpreter() -> str:
    """A Python that can run it: releases before 1.1 need modules that Python 3.12 removed."""
    for name in (sys.executable, *_NAMES):
        path = shutil.which(name)
        if path is None:
            continue
        trial = [path, str(program("fail2ban-regex")), "-c", str(stock()), "x", "x <HOST>"]
        try:
            done = subprocess.run(
                trial, capture_output=True, env=environment(), timeout=60, check=False, cwd="/"
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and b"Lines: 1 lines" in done.stdout:
            return path
    raise NoPackageError(f"no Python here can run {program('fail2ban-regex')}; tried {', '.join(_NAMES)}")


def command(name: str) -> list[str]:
    """The command of one of its programs; use it with `environment`."""
    return [interpreter(), "-W", "ignore", str(program(name))]


def run(
    name: str, *arguments: object, stdin: str | None = None, timeout: float = 120, zone: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of its programs; the caller checks the exit code. `zone` is a TZ string."""
    return subprocess.run(
        [*command(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env=environment() | ({"TZ": zone} if zone else {}),
        timeout=timeout,
        check=False,
        cwd="/",
    )


@cache
def version() -> str:
    """Its release, such as `1.0.2`."""
    words = run("fail2ban-client", "--version").stdout.split()
    return words[-1].removeprefix("v") if words else "unknown"


def client(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`fail2ban-client ARGUMENTS`."""
    return run("fail2ban-client", *arguments)


def regex(*arguments: object, zone: str | None = None) -> subprocess.CompletedProcess[str]:
    """`fail2ban-regex ARGUMENTS`."""
    return run("fail2ban-regex", *arguments, zone=zone)
