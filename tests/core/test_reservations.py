"""Slots: distinct, never earlier than asked, at most the horizon, and self-correcting."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from governor.core.reservations import (
    AT_SLOT,
    EARLY,
    EARLY_NS,
    LEAD_NS,
    N_OUTSTANDING_MAX,
    NO_SLOT,
    OVERBOOKING,
    OVERDUE_NS,
    Reservations,
)

S = 1_000_000_000
HORIZON_NS = 60 * S


def test_slots_are_spread_over_spare_capacity() -> None:
    """A hundred callers sent away at once come back over about their work / spare capacity."""
    reservations = Reservations(HORIZON_NS)
    delays = [reservations.invite(0, key, 100.0, 50.0) for key in range(100)]
    assert delays == sorted(delays)
    assert delays[0] >= LEAD_NS
    expected_ns = LEAD_NS + 100 / (1.3 * 50.0) * S
    assert abs(delays[-1] - expected_ns) < 0.05 * S


def test_redeeming_makes_room() -> None:
    """A caller that is back frees its place for the next invitation."""
    reservations = Reservations(HORIZON_NS)
    for key in range(10):
        reservations.invite(0, key, 10.0, 0.0)
    before_ns = reservations.invite(0, 10, 10.0, 0.0)
    assert all(reservations.redeem(1, key, is_retry=True) for key in range(11))
    assert reservations.n_outstanding == 0
    assert reservations.invite(0, 11, 10.0, 0.0) < before_ns


def test_fresh_demand_does_not_redeem_early() -> None:
    """An unmarked arrival of the same caller keeps the slot only around its instant."""
    reservations = Reservations(HORIZON_NS)
    delay_ns = reservations.invite(0, 7, 10.0, 0.0)
    assert not reservations.redeem(1, 7, is_retry=False)
    assert reservations.redeem(delay_ns - EARLY_NS, 7, is_retry=False)
    assert not reservations.redeem(delay_ns, 7, is_retry=True)


def test_who_comes_before_its_slot_is_told_from_who_keeps_it() -> None:
    """A retry that does not wait closes its invitation, but was not invited for now."""
    reservations = Reservations(HORIZON_NS)
    delay_ns = reservations.invite(0, 7, 10.0, 0.0)
    later_ns = reservations.invite(0, 7, 10.0, 0.0)
    assert reservations.redeem(1, 7, is_retry=True) == EARLY
    assert reservations.redeem(later_ns - EARLY_NS, 7, is_retry=False) == AT_SLOT
    assert delay_ns < later_ns
    assert reservations.redeem(later_ns, 7, is_retry=True) == NO_SLOT


def test_behind_a_common_wish_callers_are_spread() -> None:
    """An upstream that asks everybody for 20 s gets them back at its pace, not in one moment."""
    reservations = Reservations(HORIZON_NS)
    delays = [reservations.invite(0, key, 100.0, 0.0, 20 * S) for key in range(500)]
    steps = [b - a for a, b in pairwise(delays)]
    assert delays[0] >= 20 * S
    assert all(abs(step - S / (100 * OVERBOOKING)) < 10_000 for step in steps)


def test_slots_elsewhere_do_not_push_a_wish_back() -> None:
    """Only those who return between the wish and the slot are in its way."""
    reservations = Reservations(HORIZON_NS)
    for key in range(500):
        reservations.invite(0, key, 100.0, 0.0, 40 * S)
    assert reservations.invite(0, -1, 100.0, 0.0, 2 * S) < 2.1 * S


def test_who_fits_only_without_others_is_drawn_nearer() -> None:
    """Where organic demand leaves little, slots come closer before anybody is given up."""
    reservations = Reservations(HORIZON_NS)
    delays = [reservations.invite(0, key, 100.0, 100.0) for key in range(2_000)]
    assert all(LEAD_NS <= delay <= HORIZON_NS for delay in delays)
    assert len(set(delays)) == len(delays)


def test_nobody_is_invited_in_vain() -> None:
    """Beyond the horizon, the caller's own end or the upstream's wish nothing is reserved."""
    reservations = Reservations(HORIZON_NS)
    assert reservations.invite(0, 1, 100.0, 0.0, 61 * S) == 0
    assert reservations.invite(0, 1, 100.0, 0.0, 3 * S, 2 * S) == 0
    assert reservations.invite(0, 1, 100.0, 0.0, 0, LEAD_NS // 2) == 0
    for key in range(200):
        reservations.invite(0, key, 1.0, 0.0)
    assert reservations.n_outstanding < 80
    assert reservations.invite(0, 1, 1.0, 0.0) == 0


def test_an_unknown_capacity_still_tells_callers_apart() -> None:
    """Before anything was measured, slots differ by milliseconds at least."""
    reservations = Reservations(HORIZON_NS)
    delays = [reservations.invite(0, key, 0.0, 0.0) for key in range(50)]
    assert all(b - a > 1_000_000 for a, b in pairwise(delays))


def test_overdue_callers_free_their_place() -> None:
    """Who is a second late has made other plans."""
    reservations = Reservations(HORIZON_NS)
    delay_ns = reservations.invite(0, 7, 10.0, 0.0)
    reservations.expire(delay_ns + OVERDUE_NS - 1)
    assert reservations.n_outstanding == 1
    reservations.expire(delay_ns + OVERDUE_NS)
    assert reservations.n_outstanding == 0
    assert not reservations.redeem(delay_ns + OVERDUE_NS, 7, is_retry=True)


def test_memory_is_bounded() -> None:
    """Beyond the bound nobody is invited and nothing more is remembered."""
    reservations = Reservations(HORIZON_NS)
    for key in range(N_OUTSTANDING_MAX):
        reservations.invite(0, key, 1e9, 0.0)
    assert reservations.invite(0, -1, 1e9, 0.0) == 0
    assert reservations.n_outstanding == N_OUTSTANDING_MAX


@given(
    st.lists(
        st.tuples(
            st.integers(0, S),  # pause before it
            st.integers(0, 20),  # key
            st.sampled_from(["invite", "retry", "fresh", "expire"]),
            st.floats(0.0, 1e5),  # capacity
            st.floats(0.0, 1e5),  # organic
            st.integers(0, 90 * S),  # asked by the upstream
        ),
        max_size=60,
    )
)
def test_invariants(events: list[tuple[int, int, str, float, float, int]]) -> None:
    """Slots are distinct, not before the upstream's wish, not after the horizon; counts agree."""
    reservations = Reservations(HORIZON_NS)
    now_ns = 0
    slots: list[int] = []
    for pause_ns, key, event, capacity_hz, organic_hz, asked_ns in events:
        now_ns += pause_ns
        if event == "invite":
            delay_ns = reservations.invite(now_ns, key, capacity_hz, organic_hz, asked_ns)
            if delay_ns == 0:
                continue
            assert asked_ns <= delay_ns <= HORIZON_NS
            slots.append(now_ns + delay_ns)
        elif event == "expire":
            reservations.expire(now_ns)
        else:
            reservations.redeem(now_ns, key, is_retry=event == "retry")
        assert 0 <= reservations.n_outstanding <= len(slots)
    assert sorted(x.at_ns for x in reservations._by_time if x.is_open) == reservations._instants
    open_slots = [slot.at_ns for slot in reservations._by_time if slot.is_open]
    assert len(set(open_slots)) == len(open_slots) == reservations.n_outstanding


def test_governors_that_share_invite_behind_each_other() -> None:
    """Others' outstanding invitations push a slot back as our own do."""
    alone, shared = Reservations(60 * S), Reservations(60 * S)
    shared.share_with(3, 0, 3, n_elsewhere=200)
    assert shared.invite(0, 1, 100.0, 0.0) - alone.invite(0, 1, 100.0, 0.0) > S


def test_no_two_governors_name_the_same_instant() -> None:
    """Every n-th microsecond of the shared clock is one rank's, however clocks differ."""
    instants: set[int] = set()
    for rank, lead_ns in enumerate((0, 3 * S + 1_234, -5 * S - 777)):
        reservations = Reservations(60 * S)
        reservations.share_with(3, rank, 3, 0, server_lead_ns=lead_ns)
        now_ns = 100 * S - lead_ns
        for key in range(300):
            at_ns = now_ns + reservations.invite(now_ns, key, 50.0, 0.0) + lead_ns
            instants.add(at_ns // 1_000)
            assert at_ns // 1_000 % 3 == rank
    assert len(instants) == 900
