"""Who waits in vain, on a made-up time axis: the memory alone, and through two gates."""

from __future__ import annotations

from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision, Lease, LeaseState, make_lease
from governor.core.roots import DOOMED_NS, GRACE_NS, N_ROOTS, Roots
from governor.core.shaping import Modes, Shaping
from policies.decision import Action, Outcome, Reason
from policies.limit.fixed import FixedLimit
from signals import SignalBank

MS = 1_000_000
S = 1_000_000_000
PERSON, SERVICE = 11, 22
"""Addresses."""


def call(tree: int, source: int = PERSON) -> Lease:
    """Return a pending call of a trace."""
    return make_lease(Arrival(tree=tree, source=source), S, 0)


def test_a_child_waits_in_vain_once_the_grace_is_over() -> None:
    """Not before, and no longer than anybody waits."""
    roots = Roots()
    root, child = call(1), call(1, SERVICE)
    roots.arrive("a", root, is_alone=True)
    roots.arrive("b", child, is_alone=False)
    roots.leave(S, root)
    assert not roots.doomed(S + GRACE_NS - 1)
    assert roots.doomed(S + GRACE_NS) == {1}
    assert roots.is_vain("b", child)
    assert not roots.doomed(S + DOOMED_NS + 1)
    assert not roots.is_vain("b", child)
    assert len(roots) == 0


def test_calls_side_by_side_are_no_children() -> None:
    """From the root's address, or at the root's upstream, or of another trace."""
    roots = Roots()
    root = call(1)
    roots.arrive("a", root, is_alone=True)
    roots.leave(S, root)
    assert roots.doomed(S + GRACE_NS)
    assert not roots.is_vain("b", call(1))
    assert not roots.is_vain("a", call(1, SERVICE))
    assert not roots.is_vain("b", call(2, SERVICE))
    assert not roots.is_vain("b", call(1, 0))


@pytest.mark.parametrize("after_ns", [500 * MS, 5 * S])
def test_a_root_that_is_repeated_dooms_nothing(after_ns: int) -> None:
    """Within the grace nothing is doomed at all; later, from then on nothing is."""
    roots = Roots()
    root, repeat, child = call(1), call(1), call(1, SERVICE)
    roots.arrive("a", root, is_alone=True)
    roots.leave(S, root)
    roots.doomed(S + after_ns - 1)
    roots.arrive("a", repeat, is_alone=False)
    assert not roots.doomed(S + after_ns)
    assert not roots.is_vain("b", child)
    roots.leave(20 * S, repeat)  # the repeat is the root now
    assert roots.doomed(20 * S + GRACE_NS) == {1}


def test_a_child_that_leaves_dooms_nothing() -> None:
    """Only the root's caller stands for the intent."""
    roots = Roots()
    child = call(1, SERVICE)
    roots.arrive("a", call(1), is_alone=True)
    roots.arrive("b", child, is_alone=False)
    roots.leave(S, child)
    assert not roots.doomed(S + GRACE_NS)


def test_the_shared_entry_is_no_tree() -> None:
    """Traces for which there was no place in the table have no root."""
    roots = Roots()
    lease = call(0)
    roots.arrive("a", lease, is_alone=True)
    roots.leave(S, lease)
    assert not roots.doomed(S + GRACE_NS)


def test_memory_is_bounded() -> None:
    """Roots that have ended make room; those that have not are kept, and new ones not taken in."""
    roots = Roots()
    leases = [call(tree) for tree in range(1, N_ROOTS + 101)]
    for lease in leases:
        roots.arrive("a", lease, is_alone=True)
    assert len(roots) == N_ROOTS
    for lease in leases:
        lease.state = LeaseState.CLOSED
    roots.arrive("a", call(N_ROOTS + 200), is_alone=True)
    assert len(roots) == 1


class Front:
    """Two gates of one process: the root's, and a full one at which its children wait."""

    def __init__(self, mode: str = "govern") -> None:
        self.identities = Identities()
        for table in (self.identities.tenants, self.identities.flows, self.identities.trees):
            for key in range(1, 10):
                table.index(key, 0)
        self.a, self.b = (
            Gate(
                name,
                [FixedLimit(limit)],
                SignalBank(64),
                self.identities,
                shaping=Shaping(Modes(contain=mode)),
            )
            for name, limit in (("a", 8), ("b", 1))
        )
        self.busy = self.b.arrive(S, Arrival(tenant=3, flow=9, tree=9))
        self.root = self.a.arrive(S, Arrival(tenant=1, flow=1, tree=1, source=PERSON))
        self.children = [self.child(S + n * MS) for n in range(5)]

    def child(self, now_ns: int, tree: int = 1) -> Decision:
        """Let the service behind A call B."""
        return self.b.arrive(now_ns, Arrival(tenant=2, flow=2, tree=tree, source=SERVICE))


def test_the_whole_tree_is_answered_at_once() -> None:
    """All that wait, each with a time to come back; other trees and open calls go on."""
    front = Front()
    other = front.child(S + 9 * MS, tree=5)
    assert {x.action for x in front.children} == {Action.WAIT}
    front.a.leave(2 * S, front.root.lease)
    assert not front.b.tick(2 * S + GRACE_NS - MS)
    answered = front.b.tick(2 * S + GRACE_NS)
    assert [x.lease for x in answered] == [x.lease for x in front.children]
    assert {(x.action, x.reason) for x in answered} == {(Action.ANSWER, Reason.DOOMED)}
    assert all(x.retry_after_ns > 0 for x in answered)
    [granted] = front.b.depart(4 * S, front.busy.lease, Outcome.COMPLETED, 200)
    assert granted.lease is other.lease
    assert front.b.line_length == 0


def test_an_answered_root_dooms_nothing() -> None:
    """Its caller had what it came for, or the first bytes of it, and may leave."""
    front = Front()
    front.a.answered(2 * S, front.root.lease, 200)
    front.a.leave(2 * S, front.root.lease)
    assert not front.b.tick(2 * S + GRACE_NS)


def test_observed_it_is_counted_once_and_off_not_at_all() -> None:
    """And everybody goes on waiting."""
    for mode, n in (("observe", 5), ("off", 0)):
        front = Front(mode)
        front.a.leave(2 * S, front.root.lease)
        for step in range(5):
            assert not front.b.tick(2 * S + GRACE_NS + step * 50 * MS)
        assert front.b.ledger.n_observed[Reason.DOOMED] == n
        assert front.b.line_length == 5


def test_observed_a_child_that_waited_before_the_last_look_is_counted() -> None:
    """Its tree is found doomed only after that of another, at which the gate looked already."""
    front = Front("observe")
    other = front.a.arrive(S, Arrival(tenant=1, flow=3, tree=5, source=PERSON))
    front.child(S + 9 * MS, tree=5)
    front.a.leave(2 * S, other.lease)
    front.a.leave(3 * S, front.root.lease)
    counted = []
    for at_ns in (2 * S, 3 * S, 3 * S + 50 * MS):
        front.b.tick(at_ns + GRACE_NS)
        counted.append(front.b.ledger.n_observed[Reason.DOOMED])
    assert counted == [1, 6, 6]


def test_no_child_escapes_between_two_looks() -> None:
    """Whenever it came: who still waits at a tick after the grace is answered at that tick."""
    front = Front()
    front.a.leave(2 * S, front.root.lease)
    assert len(front.b.tick(2 * S + GRACE_NS)) == 5
    late = [front.child(2 * S + GRACE_NS + n * 7 * MS) for n in range(1, 8)]
    answered = front.b.tick(2 * S + GRACE_NS + 50 * MS)
    assert {x.lease for x in answered} == {x.lease for x in late}
    assert {x.reason for x in answered} == {Reason.DOOMED}


@pytest.mark.interpreted
def test_a_memory_that_raises_changes_nothing() -> None:
    """Each fault is counted; calls go on as if nothing were known of trees."""

    class Broken(Roots):
        """Raises wherever it is asked."""

        def _fail(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        arrive = leave = doomed = _fail

    front = Front()
    front.a.roots = front.b.roots = Broken()
    child = front.child(S + 10 * MS)
    assert child.action is Action.WAIT
    front.a.leave(2 * S, front.root.lease)
    assert not front.b.tick(2 * S + GRACE_NS)
    assert (front.a.ledger.n_faults, front.b.ledger.n_faults) == (1, 2)
