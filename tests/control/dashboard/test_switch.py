"""What can be switched, and where to: nothing else gets through."""

from __future__ import annotations

from typing import Any

import pytest

from governor.control.dashboard.switch import parse_switch


@pytest.mark.parametrize(
    "body",
    [[], {}, {"switch": "mode"}, {"switch": "limit", "to": 3}, {"switch": "mode", "to": "off"}]
    + [{"switch": ["mode"], "to": "govern"}, {"switch": "hold", "to": "on", "x": 1}],
)
def test_only_known_switches_and_places(body: Any) -> None:
    """Anything else is an error that says what is allowed."""
    with pytest.raises(ValueError, match=r"send|must be|can be"):
        parse_switch(body)


def test_a_good_switch() -> None:
    """Name and value as given."""
    assert parse_switch({"switch": "hold", "to": "off"}) == ("hold", "off")
