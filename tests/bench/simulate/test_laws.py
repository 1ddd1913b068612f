"""The reduced laws against the core's own on the same case."""

from __future__ import annotations

from typing import Any

import pytest

from bench.simulate.scale import Fleet, make_rules, make_world
from bench.simulate.state import N_RANKS
from governor.core.line import attained_class
from governor.core.reservations import Reservations
from tests.bench.simulate.plain import uncompiled

laws = uncompiled("laws")
NOW_NS = 100_000_000_000


def cell_of(fleet: Fleet) -> Any:
    """Return a governor that has seen answers after 0.1 s and fresh demand of 100/s."""
    cell = make_world(fleet, 1)[5][0]
    cell["response_ns"] = 1e8
    cell["fresh"], cell["fresh_at"] = 1_000.0, NOW_NS
    return cell


@pytest.mark.parametrize("attained_s", [0.01, 0.05, 0.11, 0.9, 3.0, 1e9])
def test_classes_of_attained_service_are_the_lines(attained_s: float) -> None:
    """One class up for the invited below it, and a last one that takes the rest."""
    fleet = Fleet(n_agents=1)
    agent = make_world(fleet, 1)[0][0]
    agent["work"], agent["sent"] = attained_s, NOW_NS
    expected = min(1 + attained_class(attained_s), N_RANKS - 1)
    assert laws.rank_of(cell_of(fleet), agent, NOW_NS) == expected


@pytest.mark.parametrize("n_outstanding", [0, 5, 200])
def test_slots_are_the_cores(n_outstanding: int) -> None:
    """The same delay for the same capacity, demand and invitations outstanding."""
    fleet = Fleet(n_agents=1)
    cell = cell_of(fleet)
    core = Reservations(60_000_000_000)
    for key in range(n_outstanding):
        core.invite(NOW_NS, key, 440.0, 100.0)
    cell["n_invited"] = n_outstanding
    expected_ns = core.invite(NOW_NS, -1, 440.0, 100.0)
    found_ns = laws.invite_ns(cell, NOW_NS, float(make_rules(fleet)[0]["limit"]))
    assert found_ns == pytest.approx(expected_ns, rel=1e-3)


def test_nobody_is_invited_beyond_the_horizon() -> None:
    """Where even the whole capacity could not serve it within a minute, no retry can help."""
    fleet = Fleet(n_agents=1)
    cell = cell_of(fleet)
    cell["n_invited"] = 1_000_000
    limit = float(make_rules(fleet)[0]["limit"])
    assert laws.invite_ns(cell, NOW_NS, limit) == laws.NO_RETRY
