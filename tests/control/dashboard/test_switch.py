"""What can be switched, and where to: nothing else gets through."""

from __future__ import annotations

from typing import Any

import pytest

from governor.config.model import Config
from governor.control.dashboard.switch import SWITCHES, describe_policies, parse_switch


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


def test_where_a_policy_has_something_to_do() -> None:
    """Counted by setting; what needs none is told as such, and routes that decide themselves."""
    found = describe_policies(Config.single("http://127.0.0.1:9"))
    assert set(found) == set(SWITCHES) - {"mode"}
    idle = ("absorb", "coalesce", "reroute", "acceleration")
    assert {name for name, x in found.items() if x["n"] == 0} == set(idle)
    assert {x["n"] for name, x in found.items() if name not in idle} == {None}
    own = {"policies": {"hold": "off"}, "absorb": "2s", "coalesce": True}
    match = [{"match": {"path_prefix": f"/{n}"}, "upstream": "two", **own} for n in range(5)]
    two = {"endpoints": ["http://127.0.0.1:9", "http://127.0.0.1:10"], "acceleration": 2}
    found = describe_policies(Config.model_validate({"upstreams": {"two": two}, "routes": match}))
    assert {name: found[name]["n"] for name in idle} == dict(zip(idle, (5, 5, 1, 1), strict=True))
    assert found["hold"] == {"n": None, "n_own": 5, "own": ["/0", "/1", "/2"]}
    assert found["limit"]["n_own"] == 0
