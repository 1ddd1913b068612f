"""What can be switched from the dashboard, where to, and what a switch would move.

*Rule of this file*: names, values and counts of the configuration; who may is in
:mod:`governor.control.writes`.
"""

from __future__ import annotations

from typing import Any

from governor.config.model import Config, Route
from policies.switches import STATES, Modes

SWITCHES: dict[str, tuple[str, ...]] = {
    "mode": ("govern", "observe"),
    **dict.fromkeys(Modes._fields, STATES),
}
"""Each switch and where it can stand."""

OWN_NAMED = 3
"""Routes with a state of their own that are named; the others are counted."""


def parse_switch(body: Any) -> tuple[str, str]:
    """Return the switch and where to.

    Raises
    ------
    ValueError
        With what is allowed.
    """
    if not isinstance(body, dict) or set(body) != {"switch", "to"}:
        raise ValueError('send {"switch": NAME, "to": VALUE}')
    name, value = body["switch"], body["to"]
    if not isinstance(name, str) or name not in SWITCHES:
        raise ValueError(f"switch must be one of {', '.join(SWITCHES)}")
    if value not in SWITCHES[name]:
        raise ValueError(f"{name} can be {', '.join(SWITCHES[name])}")
    return name, value


def describe_policies(config: Config) -> dict[str, dict[str, Any]]:
    """Return, by policy, on how many routes or upstreams it can act, and which decide themselves.

    ``n`` is None for what needs no setting; ``own`` are the first routes with a state of their
    own, ``n_own`` is how many there are: a switch does not move those.
    """
    upstreams = config.upstreams.values()
    settings = {
        "absorb": sum(route.absorb_s > 0 for route in config.routes),
        "coalesce": sum(route.coalesce for route in config.routes),
        "reroute": sum(
            x.reroute == "on" and (len(x.endpoints) > 1 or x.fallback is not None)
            for x in upstreams
        ),
        "acceleration": sum(x.acceleration is not None for x in upstreams),
    }
    found: dict[str, dict[str, Any]] = {}
    for name in Modes._fields:
        own = [name_of(x) for x in config.routes if getattr(x.policies, name, None) is not None]
        found[name] = {"n": settings.get(name), "n_own": len(own), "own": own[:OWN_NAMED]}
    return found


def name_of(route: Route) -> str:
    """Return what a route is called in logs and metrics."""
    return (route.match.host or "") + route.match.path_prefix
