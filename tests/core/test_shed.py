"""Whole trees rather than random leaves."""

from __future__ import annotations

from governor.core.arrival import Arrival
from governor.core.bands import Band, Bands
from governor.core.lease import Lease, LeaseState, make_lease
from governor.core.shed import N_SHED, SHED_NS, Shed

S = 1_000_000_000


def test_a_tree_is_remembered_for_two_seconds() -> None:
    """From its latest loss; 0 is no tree."""
    shed = Shed()
    shed.note(S, 0)
    shed.note(S, 7)
    shed.note(S + SHED_NS // 2, 8)
    assert 7 in shed.trees(S + SHED_NS)
    assert 0 not in shed.trees(S)
    assert 7 not in shed.trees(S + SHED_NS + 1)
    assert 8 in shed.trees(S + SHED_NS + 1)


def test_memory_is_bounded_by_forgetting_the_oldest() -> None:
    """Whatever trees callers name."""
    shed = Shed()
    for tree in range(1, N_SHED + 3):
        shed.note(S, tree)
    assert 2 not in shed.trees(S)
    assert 3 in shed.trees(S)


def test_one_tree_loses_all_before_the_next_loses_one() -> None:
    """Of three trees of four calls among equals."""
    bands, shed = Bands(), Shed()
    for n in range(12):
        lease = make_lease(Arrival(tenant=1, flow=1, tree=1 + n % 3), S, 0)
        bands.push(lease, 0.01, Band.OWN)
    order = []
    for _ in range(12):
        lost = bands.last(False, shed.trees(S))
        assert lost is not None
        shed.note(S, lost.arrival.tree)
        order.append(lost.arrival.tree)
        close(bands, lost)
    assert order == [3] * 4 + [2] * 4 + [1] * 4


def test_a_better_rank_is_never_sent_away_first() -> None:
    """Only equals are chosen among."""
    bands = Bands()
    better = make_lease(Arrival(tenant=1, flow=1, tree=1), S, 0)
    worse = make_lease(Arrival(tenant=1, flow=2, tree=2), S, 0)
    bands.push(better, 0.01, Band.OWN)
    bands.push(worse, 5.0, Band.OWN)
    assert bands.last(False, {1}) is worse


def close(bands: Bands, lease: Lease) -> None:
    """Send a waiting call away."""
    lease.state = LeaseState.CLOSED
    bands.forget(lease)
