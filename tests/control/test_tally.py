"""The tally: counts by key, one small table per configured route."""

from __future__ import annotations

import pytest

from governor.control.tally import DECISIONS, Count, RequestTally
from governor.proxy.stats import UNDECIDED
from policies.decision import Action


def test_counts_by_upstream_route_class_and_decision() -> None:
    """Each finished request counts once, under its key, with its duration."""
    tally = RequestTally()
    route = tally.for_route("tools", "all")
    for status in (200, 204, 404, 503):
        route.count(status, Action.WAIT, 1_000_000)
    route.count(400, UNDECIDED, 0)
    assert list(tally.read()) == [
        Count("tools", "all", "2xx", "wait", 2),
        Count("tools", "all", "4xx", "wait", 1),
        Count("tools", "all", "4xx", "none", 1),
        Count("tools", "all", "5xx", "wait", 1),
    ]
    assert (route.durations.count, route.durations.sum_ns) == (5, 4_000_000)


@pytest.mark.parametrize("status", [0, 99, 100, 599, 999, 1000, 12345])
def test_any_status_has_a_place(status: int) -> None:
    """Whatever an upstream answers, counting does not fail."""
    tally = RequestTally()
    tally.for_route("tools", "all").count(status, UNDECIDED, 0)
    assert sum(count.n for count in tally.read()) == 1


def test_decisions_are_the_actions() -> None:
    """The label's words are the actions', in the same order."""
    assert DECISIONS[:-1] == tuple(action.name.lower() for action in Action)
