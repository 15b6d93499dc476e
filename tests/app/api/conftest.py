"""A service in a dry run with its API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.api.site import Client, served
from tests.app.running import in_process


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with in_process(tmp_path, dry_run=True) as one, served(one) as found:
        yield found
