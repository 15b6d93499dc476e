"""Fixtures for every room: a network namespace that plays the mail server's host."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.netns import Namespace

# The same examples for everybody, so that a change is to blame for what fails; with ZMBAN_THOROUGH=1 new ones.
# No deadline: other workers make an example slow.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("new", deadline=None)
settings.load_profile("new" if os.environ.get("ZMBAN_THOROUGH") else "same")


class _ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """One worker for the tests of a file, and one for all of tests/stack: a host has one compose stack."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/stack" if nodeid.startswith("tests/stack/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    return _ByFile(config, log)


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace that plays the mail server's host; the test runs inside."""
    namespace = Namespace()
    try:
        with namespace.inside():
            yield namespace
    finally:
        namespace.remove()
