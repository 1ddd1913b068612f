"""The same home for the same key, whoever else comes and goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from policies.rendezvous import home

KEYS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(KEYS, st.sets(st.integers(0, 20), min_size=2), st.data())
def test_only_the_keys_of_who_goes_move(key: int, idxs: set[int], data: st.DataObject) -> None:
    """Taking one endpoint away moves the keys that lived there, and no other."""
    gone = data.draw(st.sampled_from(sorted(idxs)))
    before, after = home(key, idxs), home(key, idxs - {gone})
    assert after in idxs - {gone}
    if before != gone:
        assert after == before


def test_keys_spread_evenly() -> None:
    """Neighbouring keys go to all endpoints alike."""
    homes = Counter(home(key, range(4)) for key in range(4_000))
    assert all(900 < n < 1_100 for n in homes.values()), homes
