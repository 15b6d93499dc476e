"""A service in a dry run that is asked commands without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.running import InProcess, in_process


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path, dry_run=True) as service:
        yield service
