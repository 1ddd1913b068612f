"""Sums that forget: each closing bin keeps a share of what was, and adds what is new.

*Rule of this file*: one step of one sum. Each detector states how long its own remember.

*Theory*: a share ``exp(-bin / memory)`` a bin. After a silence such a sum would shrink into
denormal numbers, which cost a hundred times an addition; a billionth of an event is none.
"""

from __future__ import annotations

from signals.kernel import part

NOTHING = 1e-9
"""A sum below this is zero."""


@part
def fade(total: float, factor: float, new: float) -> float:
    """Return a decayed sum with what is new; silence ends at 0, not in denormal numbers."""
    total = total * factor + new
    return total if total > NOTHING else 0.0
