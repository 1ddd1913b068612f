"""Slow twin of the matched filter: every failure kept, every bin's due returns summed afresh.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from signals import families, matched

BIN = matched.BIN_NS


class Due(NamedTuple):
    """One failure's return: when it may come, how much it counts, and demand when it failed."""

    start_ns: int
    stop_ns: int
    weight: float
    demand: float


def overlap(due: Due, idx: int) -> float:
    """Expected calls of one failure in one bin."""
    low = max(due.start_ns, idx * BIN)
    high = min(due.stop_ns, (idx + 1) * BIN)
    return due.weight * max(0, high - low) / (due.stop_ns - due.start_ns)


class SlowMatched:
    """Same events, same numbers, from whole histories."""

    def __init__(self, first_bin: int) -> None:
        self.first = first_bin
        self.arrivals: list[int] = []  # by bin since the first
        self.failed: list[int] = []
        self.dues: list[Due] = []
        self.open_arrivals = 0
        self.open_failures = 0
        self.expected: list[float] = []
        self.nats: list[float] = [0.0]
        self.f = [1.0, 1.0]
        self.means: list[float] = []  # of the last 10 s, before each bin
        self.mean = {500: [0.0, 0.0], 100: [0.0, 0.0]}
        """Over the last so many bins: arrivals, expected."""

    # Means and sums over closed bins

    def _decayed(self, counts: list[int], time_bins: float) -> float:
        return sum(c * math.exp(-k / time_bins) for k, c in enumerate(reversed(counts)))

    def _demand(self) -> float:
        share = 1.0 / matched.DEMAND_BINS
        return sum(share * (1 - share) ** k * c for k, c in enumerate(reversed(self.arrivals)))

    # Events

    def fail(self, t_ns: int, family: int, attempt: int, due_ns: int, is_refused: bool) -> None:
        """Keep one failure."""
        heeds = due_ns > 0 and family not in matched.HEEDLESS
        if is_refused and heeds:
            return
        self.open_failures += 1
        arrivals = self._decayed(self.arrivals, 50.0) + self.open_arrivals
        recent = min(
            1.0, (self._decayed(self.failed, 50.0) + self.open_failures) / max(arrivals, 0.01)
        )
        usual = self._decayed(self.failed, 3000.0) / max(self._decayed(self.arrivals, 3000.0), 1.0)
        weight = max(0.0, 1.0 - 2.0 * usual / recent)
        demand = self._demand()
        if heeds:
            if due_ns - t_ns + matched.SLACK_NS <= matched.HORIZON_NS:
                start_ns = max(due_ns, t_ns)
                self.dues.append(Due(start_ns, start_ns + matched.SLACK_NS, weight, demand))
            return
        laws = [law for law in families.SCHEDULES if law.family == family]
        from_ns = t_ns if laws else t_ns // BIN * BIN + BIN // 2
        laws = laws or list(families.SCHEDULES)
        for law in laws:
            low_s, high_s = law.intervals_s[min(attempt, 4)]
            start_ns = from_ns + round(low_s * 1e9)
            stop_ns = from_ns + round(high_s * 1e9) + matched.SLACK_NS
            if stop_ns - from_ns <= matched.HORIZON_NS:
                self.dues.append(Due(start_ns, stop_ns, weight / len(laws), demand))

    def close(self) -> None:
        """End a bin."""
        idx = self.first + len(self.arrivals)
        n = len(self.arrivals) + 1
        count = self.open_arrivals
        expected = sum(overlap(due, idx) for due in self.dues)
        (slow, f_slow), (fast, f_fast) = self.mean[500], self.mean[100]
        if expected > 1e-4 and n > matched.READY_BINS:
            source = sum(overlap(due, idx) * due.demand for due in self.dues) / expected
            null, usual = (fast, f_fast) if fast > slow else (slow, f_slow)
            if source > null:
                null, usual = source, f_fast
            null = max(null, 1e-3)
            other = max(null + expected - usual, 0.05 * null + expected)
            gain = (count * math.log(other / null) - (other - null)) / max(self.f)
            self.nats.append(min(40.0, max(0.0, self.nats[-1] + gain)))
        else:
            self.nats.append(0.98 * self.nats[-1])
        self._learn(count, slow, n)
        for n_bins, (arrived, due) in self.mean.items():
            gain = 1.0 / min(n, n_bins)
            self.mean[n_bins] = [arrived + gain * (count - arrived), due + gain * (expected - due)]
        self.arrivals.append(count)
        self.failed.append(self.open_failures)
        self.expected.append(expected)
        self.open_arrivals = self.open_failures = 0

    def _learn(self, count: int, mean: float, n: int) -> None:
        self.means.append(mean)
        floor = max(mean, 0.2)
        square = min((count - mean) ** 2, 25 * self.f[0] * floor)
        self.f[0] = max(1.0, self.f[0] + (square / floor - self.f[0]) / min(n, 3000))
        if n % 25 == 0:
            seen = sum(self.arrivals[-24:]) + count
            usual = sum(self.means[-25:])
            floor = max(usual, 0.2)
            square = min((seen - usual) ** 2, 25 * self.f[1] * floor)
            self.f[1] = max(1.0, self.f[1] + (square / floor - self.f[1]) * 25 / min(n, 3000))
