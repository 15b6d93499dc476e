"""A service that the test starts after it caused the fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service with its directories, not started; killed by process id if the test leaves it running."""
    made = Running(tmp_path)
    made.state.mkdir()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(20)
