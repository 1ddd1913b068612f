"""Sums that forget."""

from __future__ import annotations

import math

from signals.decay import NOTHING, fade


def test_silence_ends_at_zero() -> None:
    """Decayed sums never become denormal numbers."""
    total = 1.0
    for _ in range(5_000):
        total = fade(total, math.exp(-0.01), 0)
    assert total == 0.0
    assert fade(NOTHING, 1.0, 1) > 1.0
