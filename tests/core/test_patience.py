"""Patience is learned from several leavers and forgotten when callers outlive it."""

from __future__ import annotations

import pytest

from governor.core.patience import N_LEAVERS_MIN, N_SURVIVORS_PER_LEAVER, Patience

S = 1_000_000_000


def test_default_holds_until_enough_callers_left() -> None:
    """Fewer than five leavers teach nothing."""
    patience = Patience(10 * S)
    for _ in range(N_LEAVERS_MIN - 1):
        patience.on_leave(2 * S)
    assert patience.typical_ns == 10 * S
    assert not patience.is_learned
    patience.on_leave(2 * S)
    assert patience.typical_ns == 2 * S
    assert patience.is_learned


def test_cancellations_teach_nothing() -> None:
    """Callers that leave within 100 ms changed their mind; they did not lose patience."""
    patience = Patience(10 * S)
    for _ in range(100):
        patience.on_leave(50_000_000)
    assert not patience.is_learned


def test_impatient_quarter_sets_the_value() -> None:
    """The lower quartile is learned, so that the impatient are served in time too."""
    patience = Patience(10 * S)
    for sojourn_s in (2, 2, 9, 9, 9, 9):
        patience.on_leave(sojourn_s * S)
    assert patience.typical_ns == 2 * S


def test_survivors_disprove_it() -> None:
    """Callers that keep outliving the learned patience bring the default back."""
    patience = Patience(10 * S)
    for _ in range(N_LEAVERS_MIN):
        patience.on_leave(1 * S)
    for _ in range(N_SURVIVORS_PER_LEAVER * N_LEAVERS_MIN):
        patience.on_answer(3 * S)
    assert patience.is_learned
    patience.on_answer(3 * S)
    assert not patience.is_learned
    assert patience.typical_ns == 10 * S


def test_answers_within_patience_say_nothing() -> None:
    """An answer sooner than the learned patience neither proves nor disproves it."""
    patience = Patience(10 * S)
    for _ in range(N_LEAVERS_MIN):
        patience.on_leave(1 * S)
    for _ in range(1000):
        patience.on_answer(S // 2)
    assert patience.typical_ns == 1 * S


def test_impossible_default_is_refused() -> None:
    """A default of zero would send everybody away."""
    with pytest.raises(ValueError, match="default_ns"):
        Patience(0)
