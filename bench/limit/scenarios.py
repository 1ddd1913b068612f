"""Scenarios: offered load, disturbances and what is measured when.

*Rule of this file*: fixed before the limits were measured; nothing here is
tuned to flatter one of them. Loads are shares of the service's true capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Change:
    """At ``at_s`` the service's speed or its share of slots becomes another."""

    at_s: float
    speed: float | None = None
    slots_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One course of load and disturbance.

    Attributes
    ----------
    load : callable
        Offered load at an instant, as a share of capacity at the start.
    windows : dict
        Measured half-open intervals by name; one run may serve two scenarios.
    herd_at_s, n_herd
        A burst of extra callers in one instant.
    """

    name: str
    duration_s: float
    load: Callable[[float], float]
    windows: dict[str, tuple[float, float]]
    changes: tuple[Change, ...] = field(default=())
    herd_at_s: float = -1.0
    n_herd: int = 0
    load_max: float = 1.5


def constant(share: float) -> Callable[[float], float]:
    """Return a load that does not change."""
    return lambda _now_s: share


def ramp(start: float, stop: float, duration_s: float) -> Callable[[float], float]:
    """Return a load that rises evenly, then stays."""
    return lambda now_s: start + (stop - start) * min(1.0, now_s / duration_s)


SCENARIOS = {
    x.name: x
    for x in (
        Scenario(
            name="steady",
            duration_s=40.0,
            load=constant(1.3),
            windows={"cold start": (0.0, 8.0), "steady": (8.0, 40.0)},
        ),
        Scenario(
            name="ramp",
            duration_s=40.0,
            load=ramp(0.2, 0.85, 30.0),
            windows={"ramp": (0.0, 40.0)},
        ),
        Scenario(
            name="stall",
            duration_s=40.0,
            load=constant(0.8),
            changes=(Change(at_s=10.0, speed=0.1), Change(at_s=14.0, speed=1.0)),
            windows={"stall": (10.0, 40.0)},
        ),
        Scenario(
            name="cut",
            duration_s=40.0,
            load=constant(0.8),
            changes=(Change(at_s=10.0, slots_share=0.25), Change(at_s=30.0, slots_share=1.0)),
            windows={"cut": (10.0, 40.0)},
        ),
        Scenario(
            name="slower",
            duration_s=40.0,
            load=constant(0.6),
            changes=(Change(at_s=10.0, speed=1.0 / 3.0),),
            windows={"slower": (10.0, 40.0)},
        ),
        Scenario(
            name="herd",
            duration_s=25.0,
            load=constant(0.3),
            herd_at_s=10.0,
            n_herd=400,
            windows={"herd": (10.0, 25.0)},
        ),
        Scenario(
            name="low",
            duration_s=25.0,
            load=constant(0.5),
            windows={"low": (5.0, 25.0)},
        ),
    )
}

DRIFT = Scenario(
    name="drift",
    duration_s=200.0,
    load=constant(1.5),
    windows={"drift early": (50.0, 100.0), "drift late": (150.0, 200.0)},
)

STREAMS = Scenario(
    name="streams",
    duration_s=900.0,
    load=constant(1.3),
    windows={"streams": (120.0, 900.0)},
)

STREAMS_LOW = Scenario(
    name="streams low",
    duration_s=600.0,
    load=constant(0.6),
    windows={"streams low": (0.0, 600.0)},
)
