"""scripts/compose-v2.sh: if Compose 2 cannot be fetched, the error is reported and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.stack.conftest import ROOT

pytestmark = pytest.mark.stack


def test_without_a_network_it_says_so_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "--net", "sh", "scripts/compose-v2.sh"],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.splitlines()[-1].startswith("compose-v2: ")
    assert [path.name for path in (tmp_path / "zmban").iterdir() if path.is_dir()] == []
