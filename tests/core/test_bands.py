"""Which line goes first, and which may go at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.bands import N_BEFORE_CROWD, Band, Bands, Room, band_of
from governor.core.lease import Lease, LeaseState, make_lease
from policies.herd import HOLD_MAX_NS

OPEN = Room(is_free=True, for_long=True, for_crowd=True)
S = 1_000_000_000


def waiting(bands: Bands, band: Band, at_ns: int = 0, can_retry: bool = True) -> Lease:
    """Put one lease into a band."""
    lease = make_lease(Arrival(tenant=1, can_retry=can_retry), at_ns, 0)
    bands.push(lease, 0.0, band)
    return lease


def take(bands: Bands, now_ns: int = 0, room: Room = OPEN) -> Lease | None:
    """Serve the first."""
    lease = bands.first(now_ns, False, room)
    if lease is not None:
        bands.take(lease, 0.1)
        lease.state = LeaseState.OPEN
    return lease


def test_a_key_tells_its_band() -> None:
    """Whatever urgency and attained service add."""
    bands = Bands()
    for band in Band:
        for urgency in (0, 3, 7):
            lease = make_lease(Arrival(urgency=urgency), 0, 0)
            bands.push(lease, 1e9, band)
            assert band_of(lease) is band
    assert len(bands) == 3 * len(Band)


def test_the_crowd_goes_behind_whoever_comes_by_itself() -> None:
    """However much later that is."""
    bands = Bands()
    crowd = [waiting(bands, Band.CROWD) for _ in range(3)]
    own = waiting(bands, Band.OWN, at_ns=S)
    assert take(bands, S) is own
    assert take(bands, S) is crowd[0]


def test_the_crowd_is_not_starved() -> None:
    """Every eighth place is its own while all wait."""
    bands = Bands()
    for _ in range(100):
        waiting(bands, Band.OWN)
        waiting(bands, Band.CROWD)
    served = [band_of(lease) for _ in range(16) if (lease := take(bands))]
    assert served == ([Band.OWN] * N_BEFORE_CROWD + [Band.CROWD]) * 2


def test_the_crowd_is_held_no_longer_than_200_ms() -> None:
    """Then the places kept from it are open to it too."""
    bands = Bands()
    crowd = waiting(bands, Band.CROWD)
    room = OPEN._replace(for_crowd=False)
    assert take(bands, HOLD_MAX_NS - 1, room) is None
    assert take(bands, HOLD_MAX_NS, room) is crowd


def test_long_and_brief_take_turns() -> None:
    """Whoever fills one of the lines cannot keep the other from going."""
    bands = Bands()
    for _ in range(50):
        waiting(bands, Band.LONG)
    for _ in range(3):
        waiting(bands, Band.OWN, at_ns=S)
    served = [band_of(lease) for _ in range(6) if (lease := take(bands, S))]
    assert served == [Band.OWN, Band.LONG] * 3


def test_long_calls_wait_for_their_share() -> None:
    """A free place that is kept for brief calls stays free for them."""
    bands = Bands()
    long = waiting(bands, Band.LONG)
    room = OPEN._replace(for_long=False)
    assert take(bands, 60 * S, room) is None
    own = waiting(bands, Band.OWN)
    assert take(bands, 60 * S, room) is own
    assert take(bands, 60 * S) is long


def test_who_is_sent_away_first() -> None:
    """The crowd, then the long, then the rest; none that would not understand it."""
    bands = Bands()
    own, long = waiting(bands, Band.OWN), waiting(bands, Band.LONG)
    deaf = waiting(bands, Band.CROWD, can_retry=False)
    crowd = waiting(bands, Band.CROWD)
    for expected in (crowd, long, own):
        assert bands.last(False) is expected
        expected.state = LeaseState.CLOSED
        bands.forget(expected)
    assert bands.last(False) is None
    assert list(bands) == [deaf]


@pytest.mark.parametrize("newest", [False, True])
def test_nobody_goes_where_no_place_is_free(newest: bool) -> None:
    """Room comes first."""
    bands = Bands()
    for band in Band:
        waiting(bands, band)
    assert bands.first(S, newest, Room(False, True, True)) is None


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "leave"]), st.integers(0, 2))))
def test_everybody_is_counted_once(events: list[tuple[str, int]]) -> None:
    """Whatever comes, goes and leaves, the count is that of those who wait."""
    bands = Bands()
    live: list[Lease] = []
    for number, (what, band) in enumerate(events):
        if what == "push":
            live.append(waiting(bands, Band(band), number))
        elif what == "leave" and live:
            lease = live.pop(number % len(live))
            lease.state = LeaseState.CLOSED
            bands.forget(lease)
        elif what == "take":
            taken = take(bands, number)
            assert (taken is None) == (not live)
            if taken is not None:
                live.remove(taken)
        assert len(bands) == len(live)
        assert set(bands) == set(live)
        assert sum(bands.length(b) for b in Band) == len(live)
