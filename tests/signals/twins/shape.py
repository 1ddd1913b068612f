"""Slow twins of the load shape: Page's test and verdict on paper.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

import math

from signals import shape


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
