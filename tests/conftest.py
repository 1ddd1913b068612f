"""What every test may count on: no configuration from outside, no deadlines by the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from governor.cli.sample import SampleChild

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _no_configuration_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may govern something of their own."""
    ours = ("GOVERNOR__", "OTEL_")
    for variable in [name for name in os.environ if name.upper().startswith(ours)]:
        monkeypatch.delenv(variable)


@pytest.fixture(scope="module")
def sample() -> Iterator[str]:
    """Return the URL of a sample service, in a process of its own."""
    child = SampleChild()
    try:
        yield child.wait_until_ready()
    finally:
        child.stop()
