"""What an upstream tells of its quota is believed until its reset, and no longer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signals import SignalBank
from signals.quota import FORGET_NS

S = 1_000_000_000


def read(bank: SignalBank, now_ns: int) -> list[tuple[float, bool]]:
    """Share left and seconds to the reset, each with its readiness."""
    bank.tick(now_ns)
    found = {r.name: (r.value, r.is_ready) for r in bank.read()}
    return [found["quota_left"], found["quota_reset"]]


def test_nothing_told_is_nothing_known() -> None:
    """No reading is ready."""
    assert read(SignalBank(4), 0) == [(0.0, False), (0.0, False)]


def test_the_last_word_counts_until_its_reset() -> None:
    """Then it is outdated."""
    bank = SignalBank(4)
    bank.note_quota(0, 100, 90, S)
    bank.note_quota(S // 10, 100, 25, S // 2)
    assert read(bank, S // 10) == [(0.25, True), (0.5, True)]
    assert read(bank, S * 6 // 10) == [(0.0, False), (0.0, False)]


def test_without_a_reset_it_is_forgotten_after_a_minute() -> None:
    """Quotas are counted by the minute."""
    bank = SignalBank(4)
    bank.note_quota(0, 40, 10)
    assert read(bank, S) == [(0.25, True), (0.0, False)]
    bank.state.quota["told_ns"] -= FORGET_NS
    assert read(bank, S) == [(0.0, False), (0.0, False)]


@settings(max_examples=20, deadline=None)
@given(
    st.integers(-5, 2**52), st.integers(-5, 2**52), st.integers(0, 10**14), st.integers(-S, 2**60)
)
def test_whatever_is_told_stays_a_share(
    limit: int, remaining: int, reset_ns: int, start_ns: int
) -> None:
    """Between 0 and 1, whatever the numbers and the clock."""
    bank = SignalBank(4)
    bank.note_quota(start_ns, limit, remaining, reset_ns)
    (left, is_known), (reset_s, _) = read(bank, start_ns)
    assert 0.0 <= left <= 1.0
    assert 0.0 <= reset_s <= 1e5
    assert is_known == (limit > 0 and remaining >= 0)
