"""The ring of phases: judged in order, emptied of what never answers."""

from __future__ import annotations

import pytest

from policies.limit.phases import Kind
from policies.limit.ring import N_RING, Ring
from policies.xorshift import Xorshift

MS = 1_000_000


def ring_of(n_phases: int, n_sent: int = 4) -> Ring:
    """Return a ring of phases a second apart, all but the last closed, none answered."""
    ring, rng = Ring(), Xorshift(1)
    ring.newest.opened_at_ns = 0
    for number in range(n_phases):
        now_ns = number * 1_000 * MS
        if number:
            ring.newest.closed_at_ns = now_ns
            ring.open(Kind.STEADY, now_ns, 1.0, False, rng)
        ring.newest.n_dispatched = n_sent
        ring.newest.sent_sum_ns = n_sent * now_ns
    return ring


def test_phases_are_taken_in_order_and_the_open_one_never() -> None:
    """A phase that has all its answers waits for one that opened before it."""
    ring = ring_of(3)
    ring.phases[1].n_answered = 4
    assert ring.take_mature(10_000 * MS, 1.0) is None
    ring.phases[0].n_answered = 4
    taken = [ring.take_mature(10_000 * MS, 1.0) for _ in range(3)]
    assert taken == [ring.phases[0], ring.phases[1], None]
    assert all(phase.is_judged for phase in taken if phase)


def test_a_phase_without_calls_holds_nothing_up() -> None:
    """All its calls were lost: there is nothing to wait for."""
    ring = ring_of(2)
    ring.phases[0].n_dispatched = 0
    assert ring.take_mature(0, 1.0) is ring.phases[0]


def test_a_full_ring_has_room_again_once_the_oldest_is_taken() -> None:
    """Memory is bounded, however long answers stay away."""
    ring = ring_of(N_RING)
    assert ring.is_full
    ring.take_oldest()
    assert not ring.is_full
    assert len(ring.phases) == N_RING


def test_what_is_owed_and_how_old_it_is() -> None:
    """The mean age is over all calls without a first byte, in all phases."""
    ring = ring_of(2)
    assert ring.unanswered(3_000 * MS) == (8, pytest.approx(2_500 * MS))
    assert Ring().unanswered(5) == (0, 0.0)


def test_a_lost_call_leaves_the_phase_that_was_open_when_it_was_sent() -> None:
    """Its age is taken out with it."""
    ring = ring_of(3)
    ring.forget(1_000 * MS + 1)
    assert [phase.n_dispatched for phase in ring.phases[:3]] == [4, 3, 4]
    assert ring.phases[1].sent_sum_ns == 3_000 * MS - 1
