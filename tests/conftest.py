"""Fixtures for every room: a network namespace that plays the mail server's host."""

from collections.abc import Iterator

import pytest

from tests.netns import Namespace


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace that plays the mail server's host; the test runs inside."""
    namespace = Namespace()
    try:
        with namespace.inside():
            yield namespace
    finally:
        namespace.remove()
