"""What every test may count on: no configuration from outside, no deadlines by the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from governor.cli.sample import SampleChild
from governor.core import IS_COMPILED

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what puts stand-ins into the core where the core is compiled."""
    if IS_COMPILED:
        reason = "compiled code calls its own parts directly: nothing can stand in for them"
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason=reason))


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
