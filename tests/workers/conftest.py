"""What every test of workers stands before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.rig import Fleet


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Return two workers before a gate of four places."""
    made = Fleet(2)
    yield made
    made.close()
