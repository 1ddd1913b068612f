"""Plans: what they refuse, and that they survive being written down."""

from __future__ import annotations

from typing import Any

import pytest

from governor.load.plan import (
    Closed,
    Demand,
    Fanout,
    Group,
    Herd,
    Open,
    Plan,
    Ramp,
    Shape,
    plan_from_json,
    plan_to_json,
)

TARGET = "http://127.0.0.1:9000"
SHAPES: list[Shape] = [
    Closed(1.0),
    Open(10.0),
    Herd(4.0, 0.02),
    Fanout((1, 3, 6), 2.0, 0.01),
    Ramp(((0.0, 5.0), (10.0, 50.0))),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plan_survives_json(shape: Shape) -> None:
    """What is read back equals what was written, for every shape."""
    group = Group(
        "agents",
        4,
        shape,
        client="anthropic",
        key="k-{agent}",
        headers=(("accept", "text/event-stream"),),
        demand=Demand(0.1, 0.5),
        is_stream=True,
    )
    plan = Plan((TARGET, TARGET), (group,), 5.0, 1.0, seed=3, is_numbered=True)
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Closed(-1.0), "think_s"),
        (lambda: Open(float("nan")), "rate_hz"),
        (lambda: Open(1e9), "rate_hz"),
        (lambda: Herd(0.0), "every_s"),
        (lambda: Herd(1.0, 2.0), "spread_s"),
        (lambda: Fanout((2, 4)), "widths"),
        (lambda: Fanout(()), "widths"),
        (lambda: Ramp(()), "points"),
        (lambda: Ramp(((2.0, 1.0), (1.0, 1.0))), "points"),
        (lambda: Demand(0.0), "mean_s"),
        (lambda: Group("a", 0, Closed(1.0)), "n_agents"),
        (lambda: Group("a", 1, Closed(1.0), client="nobody"), "client"),
        (lambda: Group("a", 1, Closed(1.0), path="v1"), "path"),
        (lambda: Group("a", 1, Closed(1.0), key="a\r\nb"), "key"),
        (lambda: Group("a", 1, Closed(1.0), timeout_s=0.0), "timeout_s"),
        (lambda: Group("a", 1, Closed(1.0), max_retries=-1), "max_retries"),
        (lambda: plan(targets=()), "targets"),
        (lambda: plan(groups=()), "groups"),
        (lambda: plan(seconds=4_000.0), "seconds"),
        (lambda: plan(targets=(TARGET, TARGET)), "n_agents"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(make: Any, word: str) -> None:
    """A value out of its bounds is a ValueError that names the field."""
    with pytest.raises(ValueError, match=word):
        make()


def plan(**changes: Any) -> Plan:
    """Return a small plan with changes."""
    values: dict[str, Any] = {
        "targets": (TARGET,),
        "groups": (Group("agents", 1, Closed(1.0)),),
        "seconds": 1.0,
        "drain_s": 1.0,
        "seed": 1,
    }
    return Plan(**{**values, **changes})


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"targets": []}', b'{"groups": [{}]}'])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    """JSON that is no plan is a ValueError, never another error."""
    with pytest.raises(ValueError, match=r".+"):
        plan_from_json(text)
