"""What every test may count on: no configuration from outside, no deadlines by the clock."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _no_configuration_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may govern something of their own."""
    ours = ("GOVERNOR__", "OTEL_")
    for variable in [name for name in os.environ if name.upper().startswith(ours)]:
        monkeypatch.delenv(variable)
