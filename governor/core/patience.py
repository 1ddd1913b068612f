"""How long callers wait before they leave: hinted by a header, else learned here.

*Theory*: a caller that leaves before its first byte reveals its patience; one
that is answered later than the learned value contradicts it. The learned value
is the lower quartile of recent leavers, so that a few impatient callers among
patient ones are served in time, and it is dropped when callers keep outliving
it. A single leaver (somebody pressed Ctrl-C) teaches nothing.

*Source*: ours.
"""

from __future__ import annotations

from collections import deque
from typing import Final

N_LEAVERS: Final = 32
"""Leavers remembered; a quartile of 32 moves within one storm."""

N_LEAVERS_MIN: Final = 5
"""Fewer than five leavers may be people, not a policy."""

PATIENCE_MIN_NS: Final = 100_000_000
"""Nobody tunes a client below 100 ms; shorter sojourns are cancellations."""

N_SURVIVORS_PER_LEAVER: Final = 8
"""Callers served beyond the learned patience, per leaver, that disprove it."""


class Patience:
    """The patience of an upstream's callers, where they do not say.

    Parameters
    ----------
    default_ns : int
        Assumed until enough callers have left.
    """

    __slots__ = ("_leavers", "_n_survivors", "default_ns", "is_learned", "typical_ns")

    def __init__(self, default_ns: int) -> None:
        if default_ns <= 0:
            raise ValueError(f"default_ns must be > 0, got {default_ns}")
        self.default_ns = default_ns
        self.typical_ns = default_ns
        self.is_learned = False
        self._leavers: deque[int] = deque(maxlen=N_LEAVERS)
        self._n_survivors = 0

    def on_leave(self, sojourn_ns: int) -> None:
        """Note a caller that left ``sojourn_ns`` after its arrival, without a first byte."""
        if sojourn_ns < PATIENCE_MIN_NS:
            return
        self._leavers.append(sojourn_ns)
        self._n_survivors = 0
        if len(self._leavers) >= N_LEAVERS_MIN:
            ranked = sorted(self._leavers)
            self.typical_ns = ranked[len(ranked) // 4]
            self.is_learned = True

    def on_answer(self, sojourn_ns: int) -> None:
        """Note a caller that was still there ``sojourn_ns`` after its arrival."""
        if not self.is_learned or sojourn_ns <= self.typical_ns:
            return
        self._n_survivors += 1
        if self._n_survivors > N_SURVIVORS_PER_LEAVER * len(self._leavers):
            self._leavers.clear()
            self._n_survivors = 0
            self.is_learned = False
            self.typical_ns = self.default_ns
