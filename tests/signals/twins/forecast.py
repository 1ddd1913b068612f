"""The forecast from whole histories: lists that only grow, every bin reckoned from the start.

*Rule of this file*: no code shared with the kernels; constants only, and the inner clock's origin.
When one caller is back is in :mod:`tests.signals.twins.backoff`, how long one waits in
:mod:`tests.signals.twins.patience`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from signals import forecast, generations, patience, pending, score, storm
from signals.families import N_ATTEMPTS, N_FAMILIES
from signals.state import EPOCH_NS
from tests.signals.twins.backoff import (
    BIN_NS,
    BIN_S,
    N_AGES,
    Counts,
    Failure,
    count_laws,
    draw_law,
)
from tests.signals.twins.patience import Call, believe_patience_s

HORIZON = 80


@dataclass
class NaiveForecast:
    """Told what happens to calls; reckons everything anew at the end of each bin."""

    told_hz: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    served_ns: list[int] = field(default_factory=list)
    sojourns: list[tuple[int, float, bool]] = field(default_factory=list)
    """(when, seconds, is_leaver) of leavers, and of those who were served."""
    refused: list[tuple[int, bool]] = field(default_factory=list)
    """(when, is_granted)"""
    bin_idx: int = EPOCH_NS // BIN_NS
    faded: list[float] = field(default_factory=lambda: [0.0] * HORIZON)
    unfaded: list[float] = field(default_factory=lambda: [0.0] * HORIZON)
    pace_hz: float = 0.0
    slow_hz: float = 0.0
    is_on: bool = False
    n_alarms: int = 0
    calm_bin: int = 0
    off_bin: int = 0
    n_refusing: int = 0
    history: dict[int, tuple[list[float], float]] = field(default_factory=dict)
    errors: list[list[float]] = field(default_factory=lambda: [[0.0] * 3 for _ in range(4)])
    first_bin: int = EPOCH_NS // BIN_NS
    laws: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Chance of return by law and attempt, as last drawn."""
    drawn_from: dict[tuple[int, int], Counts] = field(default_factory=dict)
    next_law: int = 0

    # What the bank is told

    def arrive(self, t_ns: int, attempt: int, family: int, flow: int, patience_ns: int) -> Call:
        """A call comes in."""
        law = family if flow > 0 else N_FAMILIES
        call = Call(t_ns, attempt, law, family, patience_ns)
        self.calls.append(call)
        return call

    def fail(self, t_ns: int, call: Call, due_ns: int, is_leaver: bool) -> Failure:
        """A caller is told that it failed, or leaves."""
        obeys = pending.OBEYS[call.family] == 1  # with or without a name
        near = due_ns // BIN_NS - t_ns // BIN_NS <= 1_200
        due_ns = due_ns if obeys and near and due_ns > t_ns else 0
        failure = Failure(t_ns, call.law, min(call.attempt, N_ATTEMPTS - 1), due_ns)
        self.failures.append(failure)
        if is_leaver:
            self.sojourns.append((t_ns, (t_ns - call.at_ns) * 1e-9, True))
        else:
            self.refused.append((t_ns, due_ns > 0))
        return failure

    def serve(self, t_ns: int, call: Call) -> None:
        """A first byte, whether or not the caller is still there."""
        self.served_ns.append(t_ns)
        if call.left_ns is None:
            call.over_ns = t_ns
            self.sojourns.append((t_ns, (t_ns - call.at_ns) * 1e-9, False))
        else:
            call.worked_off_ns = t_ns

    # The parts

    def advance(self, t_ns: int) -> None:
        """Close the bins that ended."""
        while self.bin_idx < t_ns // BIN_NS:
            self.close()
            self.bin_idx += 1

    def count(self, stamps: list[int], bin_idx: int) -> int:
        """How many lie in a bin."""
        return sum(1 for t in stamps if t // BIN_NS == bin_idx)

    def decayed(self, stamps: list[int], decay: float) -> float:
        """A sum in which each bin loses a share."""
        return sum(decay ** (self.bin_idx - t // BIN_NS) for t in stamps)

    def draw_laws(self) -> None:
        """A law just met is drawn at once; of those that have learned, a few a bin, in turn."""
        met = {(f.law, f.q) for f in self.out()}
        for call in self.calls:
            q = min(call.attempt, N_ATTEMPTS - 1)
            met |= {(call.law, q)} if q else {(call.law, k) for k in range(N_ATTEMPTS)}
        all_counts = count_laws(self.failures, self.bin_idx)
        n_redrawn, first, n_laws = 0, self.next_law, (N_FAMILIES + 1) * N_ATTEMPTS
        for step in range(n_laws):
            idx = (first + step) % n_laws
            place = idx // N_ATTEMPTS, idx % N_ATTEMPTS
            counts = all_counts.get(place, np.zeros((4, 64)))
            before = self.drawn_from.get(place, np.zeros((4, 64)))
            is_due = n_redrawn < generations.REBUILDS and (counts != before).any()
            if is_due or (place in met and place not in self.laws):
                self.laws[place] = draw_law(*place, counts)
                self.drawn_from[place] = counts
            if is_due:
                n_redrawn += 1
                self.next_law = idx + 1

    def out(self) -> list[Failure]:
        """Failures not yet come back and young enough."""
        now = self.bin_idx + 1
        return [
            f
            for f in self.failures
            if f.back_ns is None and not f.due_ns and now - f.at_ns // BIN_NS < N_AGES
        ]

    def invited(self) -> list[Failure]:
        """Callers who were told when to come, and are not yet a bin late."""
        return [
            f
            for f in self.failures
            if f.due_ns and f.back_ns is None and f.due_ns // BIN_NS >= self.bin_idx
        ]

    def compute_known(self) -> list[list[float]]:
        """The wave of those who are out."""
        known = [[0.0] * HORIZON for _ in range(N_ATTEMPTS + 1)]
        for f in self.out():
            mass = self.laws[f.law, f.q]
            age = self.bin_idx - f.at_ns // BIN_NS
            alive = max(1.0 - sum(mass[: age + 1]), 0.02) if f.law < N_FAMILIES else 1.0
            for h in range(HORIZON):
                if age + 1 + h < N_AGES:
                    known[f.q + 1][h] += mass[age + 1 + h] / alive
        for f in self.invited():
            h = max(0, f.due_ns // BIN_NS - self.bin_idx - 1)
            if h < HORIZON:
                known[f.q + 1][h] += 1
        return known

    def close_pace(self) -> None:
        """The pace of first bytes, bin after bin."""
        rate_hz = self.count(self.served_ns, self.bin_idx) / BIN_S
        first = 1 / (self.bin_idx - self.first_bin + 1)
        self.slow_hz += max(BIN_S / 30, first) * (rate_hz - self.slow_hz)
        memory_s = 30.0
        if self.slow_hz * 30 > 8:
            memory_s = max(0.3, 8 / self.slow_hz)
        self.pace_hz += max(BIN_S / memory_s, first) * (rate_hz - self.pace_hz)

    def compute_wait_s(self, n: float) -> float:
        """The wait behind n."""
        return n / max(self.pace_hz, 1e-3) if len(self.served_ns) >= 8 else 0.0

    def compute_organic(self) -> tuple[float, float]:
        """Fresh arrivals per bin: over 8 s without extremes, and if less, over 2 s."""
        last = (self.bin_idx + 1) // 10  # half seconds that have ended
        blocks = [0] * (last - self.first_bin // 10)
        for call in self.calls:
            block = call.at_ns // BIN_NS // 10 - self.first_bin // 10
            if call.attempt == 0 and block < len(blocks):
                blocks[block] += 1
        if not blocks:
            return 0.0, 0.0
        recent = sum(blocks[-4:]) / 40
        long = sorted(blocks[-16:])
        if len(long) > 8:
            long = long[2:-2]
        mean = sum(long) / len(long) / 10
        return mean, min(mean, recent)

    def compute_mix(self) -> list[list[float]]:
        """The laws, as their callers arrive."""
        halves = (self.bin_idx + 1) // 10
        seen: dict[tuple[int, int], float] = {}
        for call in self.calls:
            weight = math.exp(-0.05) ** (halves - call.at_ns // BIN_NS // 10)
            place = call.law, min(call.attempt, N_ATTEMPTS - 1)
            seen[place] = seen.get(place, 0.0) + weight
        mix = []
        for q in range(N_ATTEMPTS):
            weights = [
                seen.get((law, q), 0.0) + 0.05 * seen.get((law, 0), 0.0)
                for law in range(N_FAMILIES + 1)
            ]
            row = [0.0] * HORIZON
            for law, weight in enumerate(weights):
                if weight > 0 and weight >= 0.01 * sum(weights):
                    for d in range(HORIZON):
                        row[d] += weight / sum(weights) * self.laws[law, q][d]
            mix.append(row)
        return mix

    def waiting(self) -> list[Call]:
        """Calls that wait for their first byte."""
        return [c for c in self.calls if c.over_ns is None]

    def n_orphans(self) -> int:
        """Work that nobody waits for."""
        return sum(1 for c in self.calls if c.left_ns is not None and c.worked_off_ns is None)

    def plan(self, patience_s: float) -> list[list[float]]:
        """Who of the line leaves when."""
        leaving = [[0.0] * HORIZON for _ in range(N_ATTEMPTS)]
        last = min(N_AGES - 2, int(patience_s / BIN_S))
        cohorts: dict[int, list[Call]] = {}
        ahead = float(self.n_orphans())
        for call in self.waiting():
            age = self.bin_idx - call.at_ns // BIN_NS
            if age > last:
                ahead += 1
            else:
                cohorts.setdefault(age, []).append(call)
        for age in sorted(cohorts, reverse=True):
            n = len(cohorts[age])
            left_s = max(0.0, patience_s - (age + 0.5) * BIN_S)
            in_time = min(n, max(0.0, self.pace_hz * (left_s + 0.1) - ahead))
            ahead += n
            for call in cohorts[age]:
                if left_s / BIN_S < HORIZON:
                    q = min(call.attempt, N_ATTEMPTS - 1)
                    leaving[q][int(left_s / BIN_S)] += (n - in_time) / n
        return leaving

    def run(
        self,
        known: list[list[float]],
        mix: list[list[float]],
        leaving: list[list[float]],
        organic: float,
        patience_s: float,
        phi: float,
        fade: float,
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Generation after generation, bin after bin."""
        x, chance = np.array(known), np.array(mix)
        x[0] += organic
        leaving = [list(row) for row in leaving]
        backlog = float(len(self.waiting()) + self.n_orphans())
        n_failing = 0.0
        for h in range(HORIZON):
            is_late = patience_s > 0 and self.compute_wait_s(backlog) > patience_s + 0.1
            for q in range(N_ATTEMPTS + 1):
                law = min(q, 4)
                failing = x[q][h] * phi * fade**h
                accepted = x[q][h] - failing
                backlog += accepted
                later = h + int(patience_s / BIN_S + 0.5)
                if is_late and later < HORIZON:
                    leaving[law][later] += accepted
                if q < N_ATTEMPTS:
                    failing += leaving[q][h]
                if failing < 1e-3:
                    continue
                if q == 0:
                    n_failing += failing
                d = 0 if q < N_ATTEMPTS else 1
                x[min(q + 1, N_ATTEMPTS)][h + d :] += failing * chance[law][d : HORIZON - h]
            backlog = max(0.0, backlog - self.pace_hz * BIN_S)
        return x, n_failing

    def close(self) -> None:
        """The end of a bin."""
        self.close_pace()
        organic, busy = self.compute_organic()
        arrivals = [c.at_ns for c in self.calls]
        refused = [t for t, _ in self.refused]
        n_refused = self.decayed(refused, forecast.DECAY_FAST)
        n_arrivals = self.decayed(arrivals, forecast.DECAY_FAST)
        is_refusing = n_refused > 0.1 * n_arrivals and n_refused > 1
        self.n_refusing = self.n_refusing + 1 if is_refusing else 0
        patience_s = believe_patience_s(self.calls, self.sojourns)
        out, invited = self.out(), self.invited()
        n = len(self.waiting()) + self.n_orphans()
        is_long = patience_s > 0 and self.compute_wait_s(n) > 0.5 * patience_s
        is_active = bool(out or invited or is_long)
        n_failing = 0.0
        returns = [0.0] * HORIZON
        self.faded = self.unfaded = [organic] * HORIZON
        if is_active:
            self.draw_laws()
            known = self.compute_known()
            leaving = [[0.0] * HORIZON for _ in range(N_ATTEMPTS)]
            if patience_s > 0 and len(self.served_ns) >= 8:
                leaving = self.plan(patience_s)
            granted = self.decayed(
                [t for t, is_granted in self.refused if is_granted], forecast.DECAY_FAST
            )
            uninvited = 1 - (min(1.0, granted / n_refused) if n_refused > 1e-3 else 0.0)
            phi = min(1.0, n_refused / n_arrivals) if n_arrivals > 1e-3 else 0.0
            now_refused = self.decayed(refused, forecast.DECAY_NOW)
            now_arrivals = self.decayed(arrivals, forecast.DECAY_NOW)
            phi_now = phi
            if now_refused >= 5:
                phi_now = max(phi, min(1.0, now_refused / now_arrivals))
            life = max(20.0, 0.35 * self.n_refusing)
            mix = self.compute_mix()
            x, _ = self.run(
                known, mix, leaving, busy, patience_s, phi * uninvited, 0.5 ** (1 / life)
            )
            self.faded = x.sum(axis=0).tolist()
            x, n_failing = self.run(known, mix, leaving, busy, patience_s, phi_now * uninvited, 1.0)
            self.unfaded = x.sum(axis=0).tolist()
            returns = x[1:].sum(axis=0).tolist()
        totals = self.judge(len(out) + len(invited) + n_failing, returns, is_active)
        self.score(is_active, totals)

    def judge(self, n_awaited: float, returns: list[float], is_active: bool) -> list[int]:
        """The alarm; returns arrivals by bin since the start."""
        counts = [0] * (self.bin_idx - self.first_bin + 1)
        for call in self.calls:
            counts[call.at_ns // BIN_NS - self.first_bin] += 1
        if not (is_active or self.is_on) or self.told_hz <= 0:
            return counts
        served = self.told_hz / 2
        threshold = served + math.sqrt(served)
        windows = [
            (sum(self.unfaded[h : h + 10]), sum(returns[h : h + 10])) for h in range(HORIZON - 9)
        ]
        peaks = [count for count, back in windows if back >= max(0.2 * count, 5)]
        is_coming = any(count > threshold for count in peaks) and n_awaited >= 5
        if is_coming and not self.is_on:
            if self.n_alarms == 0 or self.bin_idx - self.off_bin > 20:
                self.n_alarms += 1
            self.is_on = True
        if is_coming or max(peaks, default=0.0) > served or sum(counts[-10:]) > served:
            self.calm_bin = self.bin_idx
        elif self.is_on and self.bin_idx - self.calm_bin >= 10:
            self.is_on = False
            self.off_bin = self.bin_idx
        return counts

    def score(self, is_active: bool, counts: list[int]) -> None:
        """What was said, against what came."""
        if (self.bin_idx + 1) % 10:
            return
        for k, (start, stop) in enumerate(score.WINDOWS):
            past = self.history.get(self.bin_idx - stop)
            if past is None:
                continue
            curve, rate = past
            actual = sum(counts[start - stop :])
            row = self.errors[k]
            row[0] = row[0] * 0.99 + abs(sum(curve[start:stop]) - actual)
            row[1] = row[1] * 0.99 + abs(rate * (stop - start) - actual)
            row[2] = row[2] * 0.99 + actual
        if is_active:
            self.history[self.bin_idx] = (list(self.faded), sum(counts[-20:]) / 20)


assert storm.WINDOW == score.PACE == forecast.BLOCK == 10
assert (patience.MARGIN_S, generations.SURVIVAL_MIN) == (0.1, 0.02)
