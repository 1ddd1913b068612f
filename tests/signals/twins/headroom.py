"""Slow twin of headroom: lines by numpy, the crossing's bounds by looking along the line."""

from __future__ import annotations

import math

import numpy as np

from signals import headroom


class Line:
    """A straight line through the rates of one span, newest bin last."""

    def __init__(self, rates: list[float], width_s: float, gap_s: float) -> None:
        n = len(rates)
        times = (np.arange(n) - (n - 1) / 2) * width_s
        slope, mean = np.polyfit(times, rates, 1)
        rest = float(((np.array(rates) - mean - slope * times) ** 2).sum())
        floor = max(float(mean), 1.0 / (n * width_s)) / width_s
        variance = headroom.WANDER * max(rest / (n - 2), floor)
        self.mean, self.slope = float(mean), float(slope)
        self.mean_var, self.slope_var = variance / n, variance / float((times**2).sum())
        self.middle_s = n * width_s / 2 + gap_s

    def differs(self, other: Line) -> bool:
        """Whether this shorter line tells another story than a longer one."""
        apart_s = other.middle_s - self.middle_s
        level = other.mean + other.slope * apart_s - self.mean
        level_var = self.mean_var + other.mean_var + apart_s**2 * other.slope_var
        slope_var = self.slope_var + other.slope_var
        slope = other.slope - self.slope
        return level**2 > level_var or slope**2 > slope_var

    def is_below(self, at_s: float, capacity: float, capacity_var: float, sign: float) -> bool:
        """Whether the band's edge is below capacity, ``at_s`` from the middle."""
        error = math.sqrt(self.mean_var + capacity_var + at_s**2 * self.slope_var)
        return self.mean + self.slope * at_s + sign * headroom.Z_INTERVAL * error < capacity


def make_lines(counts: list[int]) -> list[Line]:
    """Return the lines of all spans that are filled, shortest first."""
    lines = []
    n_tens = len(counts) // 10
    for span, n in enumerate(headroom.SPAN_BINS):
        if span < headroom.N_FINE_SPANS:
            if len(counts) >= n:
                lines.append(Line([float(x) for x in counts[-n:]], 1.0, 0.0))
        elif n_tens >= n:
            tens = [sum(counts[10 * k : 10 * k + 10]) / 10 for k in range(n_tens)]
            lines.append(Line(tens[-n:], 10.0, float(len(counts) % 10)))
    return lines


def choose(lines: list[Line]) -> int:
    """Return the longest line that no shorter one contradicts, nor any before it."""
    chosen = -1
    for k, line in enumerate(lines):
        if any(short.differs(line) for short in lines[:k]):
            break
        chosen = k
    return chosen
