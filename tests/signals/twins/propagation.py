"""Slow, obvious twin: calls as intervals, unions by sorting, quantiles of sorted lists."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Call:
    """One call, from beginning to end."""

    upstream: int
    flow: int
    tree: int
    start_ns: int
    end_ns: int | None = None
    parent: Call | None = None


class Nesting:
    """All calls that ever were."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def begin(self, t_ns: int, upstream: int, flow: int, tree: int) -> Call:
        """Begin a call; its parent is the newest open one of its tree that can be."""
        call = Call(upstream, flow, tree, t_ns)
        for other in reversed(self.calls):
            is_open = other.end_ns is None and other.tree == tree
            can_be = other.flow not in (0, flow) and other.upstream != upstream
            if is_open and can_be and tree > 0 and flow > 0:
                call.parent = other
                break
        self.calls.append(call)
        return call

    def note_caller(self, call: Call, upstream: int) -> None:
        """Choose the newest open call of the calling upstream, unless the parent is one."""
        if call.parent is not None and call.parent.upstream == upstream:
            return
        call.parent = None
        for other in reversed(self.calls[: self.calls.index(call)]):
            if other.end_ns is None and (other.tree, other.upstream) == (call.tree, upstream):
                call.parent = other if call.tree > 0 else None
                return

    def children(self, call: Call) -> list[Call]:
        """Return the calls that a call made."""
        return [other for other in self.calls if other.parent is call]

    def own_ns(self, call: Call, t_ns: int) -> int:
        """Return duration minus the union of the children's intervals."""
        spans = sorted(
            (child.start_ns, t_ns if child.end_ns is None else min(child.end_ns, t_ns))
            for child in self.children(call)
        )
        covered = 0
        reached = call.start_ns
        for start, stop in spans:
            covered += max(0, stop - max(start, reached))
            reached = max(reached, stop)
        return t_ns - call.start_ns - covered


def quantile(values: list[float], p: float) -> float:
    """Return the p-quantile, the smallest value that so many are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(p * len(ordered) - 1e-9) - 1)]


class Past:
    """All calls of one service, as (second, own seconds); exact quantiles, nothing slides."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, float]] = []

    def between(self, start: int, stop: int) -> list[float]:
        """Return ln own times of calls that ended in [start, stop)."""
        return [math.log(own) for second, own in self.calls if start <= second < stop]

    def shifts(
        self, stop: int, window: int, floors: tuple[float, float], prior: tuple[float, float]
    ) -> tuple[float, float]:
        """Return z50 and z90 of the ``window`` seconds before ``stop``; nothing was left out."""
        now = self.between(stop - window, stop)
        last = stop // 10 * 10 - 60
        past = self.between(last - 1_500, last)
        found = []
        for p, floor in zip((0.5, 0.9), floors, strict=True):
            subs = [self.between(s, s + 10) for s in range(max(0, last - 1_500), last, 10)]
            quantiles = [quantile(sub, p) for sub in subs if len(sub) >= 3]
            mean = sum(quantiles) / len(quantiles)
            squares = sum((q - mean) ** 2 for q in quantiles) + prior[0] * prior[1] ** 2
            drift2 = squares / (prior[0] + len(quantiles) - 1)
            e = math.sqrt(p * (1 - p) / len(now))
            middle = quantile(past, p)
            above = quantile(past, min(1.0, p + e))
            below = quantile(past, max(0.0, p - e))
            error = max(above - middle, (above - below) / 2)
            rise = quantile(now, p) - middle
            found.append(rise / math.sqrt(drift2 + floor**2 + error**2))
        return found[0], found[1]
