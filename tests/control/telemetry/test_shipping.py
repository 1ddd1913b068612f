"""Shipping: bounded, counted, never waited for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from governor.control.telemetry.shipping import BUSY_SHARE, REST_TIMES, Shipper, is_rested


def make(ship: Any, said: list[str], capacity: int = 4, batch: int = 2) -> Shipper:
    """Return a shipper that sends when a batch is full or when it is closed."""
    return Shipper("spans", ship, said.append, capacity=capacity, batch=batch, delay_s=60.0)


def test_all_that_was_put_is_sent_at_the_end() -> None:
    """Closing sends the rest, in batches, in the order in which it was put."""
    batches: list[list[int]] = []
    said: list[str] = []

    def ship(items: Sequence[int]) -> bool:
        batches.append(list(items))
        return True

    shipper = make(ship, said)
    for item in range(3):
        shipper.put(item)
    shipper.start()
    shipper.close(10.0)
    assert [item for batch in batches for item in batch] == [0, 1, 2]
    assert max(map(len, batches)) <= 2
    assert (shipper.n_shipped, shipper.n_dropped, shipper.n_failed, said) == (3, 0, 0, [])


def test_a_full_queue_drops_and_counts() -> None:
    """While a batch is stuck, what is beyond the queue's bound is dropped, and nobody waits."""
    is_stuck, may_go = threading.Event(), threading.Event()

    def ship(items: Sequence[int]) -> bool:
        is_stuck.set()
        return may_go.wait(10.0)

    shipper = make(ship, [])
    shipper.start()
    shipper.put(0)
    shipper.put(1)
    assert is_stuck.wait(10.0)
    for item in range(9):
        shipper.put(item)
    assert shipper.n_dropped == 5
    may_go.set()
    shipper.close(10.0)
    assert (shipper.n_shipped, shipper.n_dropped) == (6, 5)


def test_of_totals_the_newest_are_kept() -> None:
    """A full queue of totals lets its oldest go: the newest say all that they said."""
    sent: list[int] = []

    def ship(items: Sequence[int]) -> bool:
        sent.extend(items)
        return True

    shipper = Shipper("metrics", ship, print, capacity=2, batch=1, delay_s=60.0, keeps_newest=True)
    for item in range(5):
        shipper.put(item)
    shipper.start()
    shipper.close(10.0)
    assert sent == [3, 4]
    assert (shipper.n_shipped, shipper.n_dropped) == (2, 3)


def test_a_thread_rests_so_that_requests_have_the_core() -> None:
    """It goes on when the others have had their share, or when nobody has wanted it for long."""
    for used_s in (1e-6, 0.05, 3.0):
        share_s = used_s / BUSY_SHARE - used_s
        assert not is_rested(used_s, 0.99 * share_s, 0.0)
        assert is_rested(used_s, 1.01 * share_s, 0.0)
        assert is_rested(used_s, 0.0, REST_TIMES * used_s)
    assert is_rested(0.0, 0.0, 0.0)


def test_failures_are_counted_and_said_once() -> None:
    """A refusal and an error both lose their batch; the operator hears of it when it begins."""
    said: list[str] = []
    outcomes = iter([False, OSError("refused"), True])

    def ship(items: Sequence[int]) -> bool:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shipper = make(ship, said, capacity=9, batch=1)
    for item in range(3):
        shipper.put(item)
    shipper.start()
    shipper.close(10.0)
    assert (shipper.n_shipped, shipper.n_failed) == (1, 2)
    assert len(said) == 2
    assert "lost" in said[0]
    assert "again" in said[1]


def test_a_stuck_collector_does_not_hold_the_end() -> None:
    """Close returns when its time is over, whatever the thread is waiting for."""
    may_go = threading.Event()
    shipper = make(lambda items: may_go.wait(10.0), [], batch=1)
    shipper.start()
    shipper.put(0)
    shipper.close(0.01)
    assert shipper.n_shipped == 0
    shipper.put(1)
    assert shipper.n_dropped == 1
    may_go.set()
