"""Closing buckets: running totals are the counts, whoever closes them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signals.state import BUCKET_NS, EPOCH_NS, RING_MASK, make_bank, read_clock
from signals.windows import advance


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_differences_of_the_ring_are_the_counts(counts: list[int]) -> None:
    """The ring holds running totals: entry b less entry b - 1 is bucket b."""
    bank = make_bank()
    read_clock(bank, 0)
    first = EPOCH_NS // BUCKET_NS
    for idx, count in enumerate(counts):
        bank[0]["open_arrivals"] = count
        advance(bank, EPOCH_NS + (idx + 1) * BUCKET_NS)
    ring = bank[0]["cum_arrivals"]
    found = [
        int(ring[(first + idx) & RING_MASK] - ring[(first + idx - 1) & RING_MASK])
        for idx in range(len(counts))
    ]
    assert found == counts
    assert bank[0]["n_closed"] == len(counts)
    assert bank[0]["open_arrivals"] == 0


def test_advancing_to_the_same_instant_does_nothing() -> None:
    """No bucket closes before its end."""
    bank = make_bank()
    read_clock(bank, 0)
    advance(bank, EPOCH_NS + BUCKET_NS - 1)
    assert bank[0]["n_closed"] == 0
    advance(bank, EPOCH_NS + BUCKET_NS)
    advance(bank, EPOCH_NS + BUCKET_NS)
    advance(bank, 0)
    assert bank[0]["n_closed"] == 1
