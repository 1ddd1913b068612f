"""Slow, obvious twin of retry recognition: lists of lags that only grow, sums taken afresh."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from dataclasses import dataclass, field

from signals import calibration as c
from signals import habits as h
from signals.families import FAMILIES, OTHER, SCHEDULES, UNKNOWN
from signals.recognition import INVITED_EARLY_NS, INVITED_LATE_NS, INVITED_LATE_SHARE
from signals.retry import ATTEMPT_MAX, MEMORY_NS

EDGES_NS = [4e6 * 2 ** (idx / 4) for idx in range(1, 64)]


def find_bin(lag_ns: float) -> int:
    """Quarter octaves from 4 ms, both ends open."""
    return bisect.bisect_right(EDGES_NS, lag_ns)


def near(lags: list[int], idx: int) -> int:
    """How many lags lie in a bin or beside it."""
    return sum(abs(find_bin(lag) - idx) <= 1 for lag in lags)


def expect(family: int, depth: int, idx: int) -> float:
    """What one retry is worth before any was seen."""
    laws = [law for law in SCHEDULES if law.family == family] or list(SCHEDULES)
    total = 0.0
    for law in laws:
        low_s, high_s = law.intervals_s[min(depth, 4)]
        high_s += c.ON_TOP_S
        start_s = 0.0 if idx <= 1 else EDGES_NS[idx - 2] * 1e-9
        stop_s = math.inf if idx >= 62 else EDGES_NS[idx + 1] * 1e-9
        inside_s = max(0.0, min(stop_s, high_s) - max(start_s, low_s))
        total += inside_s / (high_s - low_s) * (1.0 if depth < law.n_retries else c.RAISED)
    return total / len(laws) * (1.0 - c.SURPRISE) + c.SURPRISE


class NaiveCalibration:
    """All lags ever seen (too few in a test for any to be forgotten)."""

    def __init__(self) -> None:
        self.after_failure: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.n_failed: dict[tuple[int, int], int] = defaultdict(int)
        self.n_fresh: dict[tuple[int, int], float] = defaultdict(float)
        self.n_renewed: dict[tuple[int, int], int] = defaultdict(int)
        self.watched: dict[int, list[int | None]] = defaultdict(list)

    def control(self, told: int) -> list[int]:
        return [lag for lag in self.watched[told] if lag is not None]

    def is_in_use(self, told: int) -> bool:
        n = len(self.control(told))
        return n - c.ERRORS * math.sqrt(n) > c.REPEAT_MIN * len(self.watched[told])

    def bound(self, told: int, family: int, depth: int) -> float:
        """Fresh calls cannot be more than any range of lags allows."""
        seen, control = self.after_failure[family, depth], self.control(told)
        repeat = len(control) / len(self.watched[told]) if self.watched[told] else 0.0
        bounds = [float(len(seen)), self.n_failed[family, depth] * repeat]
        ranges = [(0, idx) for idx in range(64)] + [(idx, 63) for idx in range(1, 64)]
        ranges += [(idx, idx + 3) for idx in range(0, 64, 4)]
        for first, last in ranges:
            n_control = sum(first <= find_bin(lag) <= last for lag in control)
            n_seen = sum(first <= find_bin(lag) <= last for lag in seen)
            if n_control >= c.CONTROL_MIN:
                share = (n_control - math.sqrt(n_control)) / len(control)
                bounds.append((n_seen + c.ERRORS * math.sqrt(n_seen + 1) + 1) / share)
        return min(bounds)

    def judge(self, told: int, family: int, attempt: int, lag_ns: int) -> float:
        if not self.is_in_use(told):
            return 1.0 - c.PRIOR
        depth, idx = min(max(attempt, 0), 5), find_bin(lag_ns)
        control = self.control(told)
        seen = near(self.after_failure[family, depth], idx)
        fresh = (self.n_fresh[family, depth] + 1.0) * near(control, idx) / len(control)
        doubt = fresh + c.FRESH_ERRORS * math.sqrt(fresh) + c.PRIOR
        return max(0.0, 1.0 - doubt / (seen + expect(family, depth, idx)))

    def learn_return(self, told: int, family: int, attempt: int, lag_ns: int) -> None:
        row = (family, min(max(attempt, 0), 5))
        self.after_failure[row].append(lag_ns)
        n = len(self.after_failure[row])
        if n >= self.n_renewed[row] * (1.0 + 1.0 / c.RENEW):
            self.n_renewed[row] = n
            self.n_fresh[row] = self.bound(told, *row)


def name_family(lags: list[tuple[int, int]]) -> int:
    """The likeliest law of a flow, from (retry, lag) of all its retries."""
    lags = [(attempt, lag) for attempt, lag in lags if attempt <= 5]
    if not lags:
        return UNKNOWN
    log_lags = sum(math.log(max(lag, h.SHORTEST_NS) * 1e-9) for _, lag in lags)
    best, named = -log_lags - len(lags) * h.OTHER_LOG - h.OTHER_NATS, OTHER
    for law in SCHEDULES:
        misfits, is_late = 0, False
        for n, (attempt, lag) in enumerate(lags, start=1):
            low_ns, high_ns = (1e9 * x for x in law.intervals_s[attempt - 1])
            slack_ns = h.LATE_NS if low_ns > 0 else h.LATE_AT_ONCE_NS
            if not low_ns - h.EARLY_NS <= lag <= high_ns * (1 + h.LATE_SHARE) + slack_ns:
                misfits = min(misfits + 1, h.MISFIT_MAX)
            elif n % h.FORGIVE_EVERY == 0 and misfits:
                misfits -= 1
            elif lag > high_ns + h.PROMPT_NS:
                is_late = True
        if misfits == h.MISFIT_MAX:
            continue
        widths = [law.intervals_s[a - 1][1] - law.intervals_s[a - 1][0] for a, _ in lags]
        nats = -sum(math.log(width + h.JITTER_S) for width in widths)
        nats -= h.MISFIT_NATS * misfits + h.LATE_NATS * is_late
        nats -= h.SHALLOW_NATS * (not misfits and max(a for a, _ in lags) > law.n_retries)
        if nats > best + 1e-9:
            best, named = nats, law.family
    return named


@dataclass
class Failed:
    """A failed call that may come back."""

    at_ns: int
    due_ns: int
    attempt: int
    family: int


@dataclass
class Flow:
    """What is known of one caller (who has at most four failed shapes in these tests)."""

    failed: dict[int, list[Failed]] = field(default_factory=dict)
    watched: tuple[int, int, int] | None = None
    lags: list[tuple[int, int]] = field(default_factory=list)
    family: int = UNKNOWN


@dataclass
class Call:
    """One call, to be handed back when it ends."""

    flow: int
    shape: int
    attempt: int
    told: int
    family: int


class NaiveRecognition:
    """Attempts and families as ``SignalBank`` tells them, from whole histories."""

    def __init__(self) -> None:
        self.flows: dict[int, Flow] = defaultdict(Flow)
        self.calibration = NaiveCalibration()
        self.retries: list[tuple[int, bool, int]] = []  # attempt, is_marked, family

    def arrive(self, now_ns: int, flow: int, shape: int, marked: int, told: int) -> Call:
        attempt = 0
        f = self.flows[flow]
        if flow:
            failed = f.failed.get(shape) if marked else None
            if failed and now_ns - failed[-1].at_ns >= MEMORY_NS:
                del f.failed[shape]
                failed = None
            if failed:
                attempt = self._weigh(f, failed[-1], marked, told, now_ns)
                last = failed.pop()
                if failed:
                    failed[-1] = last
                else:
                    del f.failed[shape]
            else:
                self._settle(f, shape, now_ns)
        if marked >= 0:
            attempt = min(marked, ATTEMPT_MAX)
        if attempt:
            self.retries.append((attempt, marked > 0, told or f.family))
        return Call(flow, shape, attempt, told, (told or f.family) if flow else told)

    def _weigh(self, f: Flow, failed: Failed, marked: int, told: int, now_ns: int) -> int:
        lag_ns, due_ns = now_ns - failed.at_ns, failed.due_ns
        late_ns = max(INVITED_LATE_NS, int(INVITED_LATE_SHARE * (due_ns - failed.at_ns)))
        is_invited = due_ns > 0 and due_ns - INVITED_EARLY_NS <= now_ns <= due_ns + late_ns
        depth = min(failed.attempt, 5)
        n_own = len(self.calibration.after_failure[failed.family, depth])
        row = failed.family if n_own >= c.ROW_MIN else told
        p = self.calibration.judge(told, row, failed.attempt, lag_ns)
        is_retry = marked > 0 or is_invited or p > c.RETRY_P
        if due_ns == 0:
            for learning in sorted({told, failed.family}, key=lambda x: x != told):
                self.calibration.learn_return(told, learning, failed.attempt, lag_ns)
            if is_retry and told == UNKNOWN:
                f.lags.append((failed.attempt + 1, lag_ns))
                f.family = name_family(f.lags)
        return min(failed.attempt + 1, ATTEMPT_MAX) if is_retry else 0

    def _settle(self, f: Flow, shape: int | None, now_ns: int) -> None:
        if f.watched is None:
            return
        at_ns, watched, told = f.watched
        if now_ns - at_ns >= MEMORY_NS:
            self.calibration.watched[told].append(None)
            f.watched = None
        elif watched == shape:
            self.calibration.watched[told].append(now_ns - at_ns)
            f.watched = None

    def fail(self, now_ns: int, call: Call, due_ns: int) -> None:
        if not call.flow:
            return
        if due_ns == 0:
            for row in {call.told, call.family}:
                self.calibration.n_failed[row, min(call.attempt, 5)] += 1
        memory = self.flows[call.flow].failed
        kept = memory.get(call.shape, [])
        if kept and now_ns - kept[-1].at_ns >= MEMORY_NS:
            kept = []
        new = Failed(now_ns, due_ns, call.attempt, call.family)
        memory[call.shape] = [new] * (len(kept) + 1)

    def succeed(self, now_ns: int, call: Call) -> None:
        if not call.flow:
            return
        f = self.flows[call.flow]
        self._settle(f, None, now_ns)
        if f.watched is None:
            f.watched = (now_ns, call.shape, call.told)

    def repeat_share(self) -> float:
        every = [lag for lags in self.calibration.watched.values() for lag in lags]
        return sum(lag is not None for lag in every) / len(every) if every else 0.0

    def is_calibrated(self) -> bool:
        return any(self.calibration.is_in_use(told) for told in range(len(FAMILIES)))
