"""Slow twin of the fates of failures: the life table from histories.

*Rule of this file*: no code shared with the kernels; constants only.
"""

from __future__ import annotations

from signals import reproduction

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
            is_lost = age >= reproduction.AGES
            ages.append((len(EDGES) if is_lost else class_of(age), False, is_lost))
    still = 1.0
    for k in range(len(EDGES)):
        at_risk = sum(found >= k for found, _, _ in ages)
        leaving = sum(found == k and not back and not lost for found, back, lost in ages)
        events = sum(found == k and back for found, back, _ in ages)
        if at_risk - leaving / 2 > 0:
            still *= 1 - min(1.0, events / (at_risk - leaving / 2))
    return 1 - still
