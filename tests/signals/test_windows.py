"""Closing buckets: running totals are the counts, whoever closes them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signals.state import BUCKET_NS, EPOCH_NS, RING_MASK
from tests.signals.short import ShortBank


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_differences_of_the_ring_are_the_counts(counts: list[int]) -> None:
    """The ring holds running totals: entry b less entry b - 1 is bucket b."""
    bank = ShortBank(4)
    bank.tick(0)
    first = EPOCH_NS // BUCKET_NS
    for idx, count in enumerate(counts):
        for _ in range(count):
            bank.observe_arrival(idx * BUCKET_NS, 1, 0, 0, True)
    bank.tick(len(counts) * BUCKET_NS)
    ring = bank.state.bank[0]["cum_arrivals"]
    found = [
        int(ring[(first + idx) & RING_MASK] - ring[(first + idx - 1) & RING_MASK])
        for idx in range(len(counts))
    ]
    assert found == counts
    assert bank.state.bank[0]["n_closed"] == len(counts)
    assert bank.state.bank[0]["open_arrivals"] == 0


def test_no_bucket_closes_before_its_end() -> None:
    """Advancing to the same instant, or back, closes nothing."""
    bank = ShortBank(4)
    state = bank.state.bank[0]
    bank.tick(0)
    bank.tick(BUCKET_NS - 1)
    assert state["n_closed"] == 0
    for now_ns in (BUCKET_NS, BUCKET_NS, 0):
        bank.tick(now_ns)
        assert state["n_closed"] == 1
