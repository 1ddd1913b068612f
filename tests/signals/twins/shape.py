"""Slow twins of the load shape: the life table from histories, Page's test and verdict on paper.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

import math

from signals import shape

EDGES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""First bin of each class of age."""


def class_of(age: int) -> int:
    """The last class that begins at or before an age."""
    return max(idx for idx, first in enumerate(EDGES) if age >= first)


def return_share(fates: list[tuple[int, int | None]], now: int) -> float:
    """Life table over (failed bin, returned bin or None) as of the open bin ``now``.

    Everybody is followed for 60 s at most; who is still away leaves the table
    half-way through the class of his age.
    """
    ages: list[tuple[int, bool, bool]] = []  # class, has returned, is lost
    for failed, returned in fates:
        if returned is not None:
            ages.append((class_of(returned - failed), True, False))
        else:
            age = now - failed
            is_lost = age >= shape.AGES
            ages.append((len(EDGES) if is_lost else class_of(age), False, is_lost))
    still = 1.0
    for k in range(len(EDGES)):
        at_risk = sum(found >= k for found, _, _ in ages)
        leaving = sum(found == k and not back and not lost for found, back, lost in ages)
        events = sum(found == k and back for found, back, _ in ages)
        if at_risk - leaving / 2 > 0:
            still *= 1 - min(1.0, events / (at_risk - leaving / 2))
    return 1 - still


def surge_nats(counts: list[int]) -> list[float]:
    """Page's test for a doubling, bin by bin."""
    found, nats = [], 0.0
    f = {10: 1.0, 100: 1.0}
    mean = 0.0
    means: list[float] = []
    for n, count in enumerate(counts, 1):
        means.append(mean)
        if n > shape.READY_BINS:
            step = (count * math.log(2) - mean) / max(f.values())
            nats = min(shape.SURGE_MAX, max(0.0, nats + step))
        for width in f:
            if n % width == 0:
                seen, usual = sum(counts[n - width : n]), sum(means[-width:])
                floor = max(usual, 0.2)
                square = min((seen - usual) ** 2, 25 * f[width] * floor)
                f[width] += (square / floor - f[width]) * width / min(n, 1200)
                f[width] = max(1.0, f[width])
        mean += (count - mean) / min(n, 1200)
        found.append(nats)
    return found


def verdict(
    share: float,
    flows: int,
    wide_share: float,
    wide_flows: int,
    retries: float,
    nats: float,
    is_anonymous: bool,
    surge: float,
) -> str:
    """The table of the module's text, from the top."""
    if (share >= 0.2 and flows >= 5) or (wide_share >= 0.2 and wide_flows >= 5):
        return "cascade"
    if is_anonymous and nats >= 12:
        return "cascade"
    if share >= 0.05 and (wide_flows >= 5 or surge >= 10):
        return "mixed"
    if surge >= 10:
        return "surge"
    if wide_share >= 0.2 and retries >= 3:
        return "stuck_caller"
    return "organic"
