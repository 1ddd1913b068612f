"""Where an upstream's seconds went, and what the gate did: plain sums, one per upstream.

*Rule of this file*: sums only; what a call's end counts as is decided in one place, here.

An upstream second is *useful* if a caller was there to take a good answer;
*orphaned* if the caller had left; *retried* if it ended in an error that
callers repeat; *refused* if the upstream spent it on turning a request away.
The waste ratio is everything but the useful over everything.
"""

from __future__ import annotations

from collections import Counter

from governor.core.faults import Faults
from policies.decision import Outcome, Reason


class Ledger:
    """Counts and seconds since the start; read by the control plane, written by the gate."""

    __slots__ = (
        "faults",
        "n_answered",
        "n_arrived",
        "n_attempts_repeated",
        "n_by_outcome",
        "n_diverted",
        "n_held_back",
        "n_left_waiting",
        "n_observed",
        "n_rerouted",
        "n_untouched",
        "n_waited_for",
        "orphaned_s",
        "refused_s",
        "retried_s",
        "useful_s",
        "waited_s",
    )

    def __init__(self) -> None:
        self.n_arrived = 0
        self.n_attempts_repeated = 0
        self.n_untouched = 0
        self.n_held_back = 0
        self.n_waited_for: Counter[Reason] = Counter()
        self.n_left_waiting = 0
        self.n_rerouted = 0
        self.n_diverted = 0
        self.faults = Faults()
        self.n_answered: Counter[Reason] = Counter()
        self.n_observed: Counter[Reason] = Counter()
        self.n_by_outcome = [0] * len(Outcome)
        self.waited_s = 0.0
        self.useful_s = 0.0
        self.orphaned_s = 0.0
        self.retried_s = 0.0
        self.refused_s = 0.0

    def close(self, outcome: Outcome, held_s: float, was_answered: bool) -> None:
        """Book one closed lease: ``held_s`` upstream seconds with ``outcome``.

        A caller that leaves in the middle of a stream had the use of what it
        read, so only an unanswered cancellation is an orphan.
        """
        self.n_by_outcome[outcome] += 1
        if outcome == 0 or (outcome == 4 and was_answered):  # COMPLETED, CANCELLED
            self.useful_s += held_s
        elif outcome == 1:  # REFUSED
            self.refused_s += held_s
        elif outcome == 2:  # FAILED
            self.retried_s += held_s
        elif outcome != 5:  # ORPHANED, or CANCELLED before its first byte; UNSENT used nothing
            self.orphaned_s += held_s

    @property
    def n_faults(self) -> int:
        """Faults of signals and policies that were survived."""
        return self.faults.n

    @property
    def n_waited(self) -> int:
        """Requests that had to wait, whatever for."""
        return self.n_waited_for.total()

    @property
    def total_s(self) -> float:
        """All upstream seconds booked."""
        return self.useful_s + self.orphaned_s + self.retried_s + self.refused_s

    @property
    def waste_ratio(self) -> float:
        """Share of upstream seconds that nobody benefited from; 0 before the first."""
        total_s = self.total_s
        return 1.0 - self.useful_s / total_s if total_s > 0 else 0.0
