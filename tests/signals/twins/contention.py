"""Slow twin of contention: in-flight time integrated afresh from whole histories."""

from __future__ import annotations

import math
from collections import defaultdict

from signals import contention

S = 1_000_000_000


class NaiveContention:
    """Told of arrivals, waits and ends; seconds are closed by hand."""

    def __init__(self, n_tenants: int) -> None:
        self.n_tenants = n_tenants
        self.spans: list[list[int]] = []  # tenant, from, to (-1 open)
        self.excess: dict[int, float] = defaultdict(float)
        self.all: list[tuple[int, float]] = []  # window, excess
        self.usual: dict[int, tuple[int, float]] = {}
        self.contended = False
        self.caused: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.suffered: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.window = 0

    def row(self, tenant: int) -> int:
        return tenant if 0 < tenant < self.n_tenants else 0

    def arrive(self, t_ns: int, tenant: int) -> list[int]:
        self.spans.append([self.row(tenant), t_ns, -1])
        return self.spans[-1]

    def wait(self, t_ns: int, tenant: int, wait_ns: int, base_s: float) -> None:
        who = self.row(tenant)
        n, usual_s = self.usual.get(who, (0, 0.0))
        reference_s = usual_s if n >= contention.N_USUAL else base_s
        if reference_s > 0.0:
            self.excess[who] += wait_ns * 1e-9 - reference_s
            self.all.append((t_ns // S, wait_ns * 1e-9 - reference_s))
        if not self.contended:
            n += 1
            gain = max(1.0 / n, contention.USUAL_GAIN)
            self.usual[who] = (n, usual_s + gain * (wait_ns * 1e-9 - usual_s))

    def close_second(self, window: int) -> None:
        self.window = window
        total = sum(x * math.exp(-0.1 * (window - w)) for w, x in self.all)
        squares = sum(x * x * math.exp(-0.1 * (window - w)) for w, x in self.all)
        self.contended = total > 3.0 * math.sqrt(squares) and squares > 1e-18
        start, stop = window * S, (window + 1) * S
        if self.contended and any(w == window for w, _ in self.all):
            held: dict[int, float] = defaultdict(float)
            for tenant, begins, ends in self.spans:
                overlap = min(stop, stop if ends < 0 else ends) - max(start, begins)
                held[tenant] += max(0, overlap) * 1e-9
            whole = sum(held.values())
            own = {who: max(0.0, x) for who, x in self.excess.items()}
            for who in set(held) | set(own):
                share = held[who] / whole
                others = sum(own.values()) - own.get(who, 0.0)
                self.caused[who].append((window, share * others))
                self.suffered[who].append((window, own.get(who, 0.0) * (1.0 - share)))
        self.excess.clear()

    def sum_of(self, account: dict[int, list[tuple[int, float]]], who: int) -> float:
        return sum(x * math.exp(-0.1 * (self.window - w)) for w, x in account[who])
