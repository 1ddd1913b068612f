"""Readiness as a value."""

from __future__ import annotations

import pytest

from governor.control.health import compute_readiness
from tests.control.stub import StubRuntime


@pytest.mark.parametrize(
    ("is_ready", "is_draining", "expected"),
    [
        (False, False, (503, "starting")),
        (True, False, (200, "ready")),
        (True, True, (503, "draining")),
        (False, True, (503, "draining")),
    ],
)
def test_readiness(is_ready: bool, is_draining: bool, expected: tuple[int, str]) -> None:
    """Ready is: started and not told to stop."""
    runtime = StubRuntime()
    runtime.is_ready, runtime.is_draining = is_ready, is_draining
    assert compute_readiness(runtime) == expected
