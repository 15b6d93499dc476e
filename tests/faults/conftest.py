"""A service that a test starts when the trouble is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service and its places, not started yet; killed by its id if the test left it running."""
    made = Running(tmp_path)
    made.state.mkdir()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(20)
