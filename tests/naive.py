"""Slow, obvious twins of the kernels: lists that only grow, sums taken afresh, no rings.

*Rule of this file*: nothing here shares code with what it checks; only the
constants of the formulas are imported.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

from signals import retry, synchrony
from signals.state import BUCKET_NS, EPOCH_NS, N_FAILURES, N_SCALES

PAD = 512
"""Empty buckets before the first."""


def compute_surprise(count: float, mean: float, dispersion: float) -> float:
    """The Chernoff exponent of a negative binomial (Poisson at dispersion 1), as on paper."""
    if count <= mean:
        return 0.0
    if dispersion - 1.0 < 1e-6:
        return count * math.log(count / mean) - (count - mean)
    r = mean / (dispersion - 1.0)
    ratio = (count + r) / (mean + r)
    return max(0.0, count * math.log(count / mean) - (count + r) * math.log(ratio))


class NaiveBank:
    """Same calls and the same numbers as ``SignalBank``, from whole histories."""

    def __init__(self, n_flows: int) -> None:
        self.n_flows = n_flows
        self.origin_ns: int | None = None
        self.now_ns = EPOCH_NS
        self.bucket = EPOCH_NS // BUCKET_NS
        self.first_bucket = self.bucket
        self.stamps: list[int] = [EPOCH_NS]
        self.last_ns: dict[int, int] = {}
        self.last_retry_ns: dict[int, int] = {}
        self.failures: dict[int, list[tuple[float, int, int, int]]] = defaultdict(list)
        self.arrivals: list[tuple[int, bool]] = []  # bucket, is_identified
        self.retries: list[tuple[int, int]] = []  # bucket, flow
        self.failed: list[int] = []  # bucket
        # One count per bucket since the start, after as many empty ones as any window needs.
        self.counts = [[[0] * PAD + [0] for _ in range(N_SCALES)] for _ in range(2)]
        self.n_all = [0] * PAD + [0]
        self.n_unidentified = [0] * PAD + [0]
        self.lagged: list[list[list[int]]] = [[[] for _ in range(N_SCALES)] for _ in range(2)]
        self.mean = [[0.0] * N_SCALES for _ in range(2)]
        self.dispersion = [[1.0] * N_SCALES for _ in range(2)]
        self.alarms: list[list[int]] = [[], []]
        self.hints: list[int] = []
        self.peaks: list[tuple[float, int]] = [(0.0, -1000), (0.0, -1000)]

    # Time

    def _advance(self, now_ns: int) -> int:
        if self.origin_ns is None:
            self.origin_ns = now_ns
        self.now_ns = max(self.now_ns, EPOCH_NS + now_ns - self.origin_ns)
        while self.bucket < self.now_ns // BUCKET_NS:
            self._close(self.bucket)
            self.bucket += 1
            for counts in (*self.counts[0], *self.counts[1], self.n_all, self.n_unidentified):
                counts.append(0)
        return self.now_ns

    # Events

    def observe_arrival(
        self, now_ns: int, flow: int, fingerprint: int, marked: int, is_identified: bool
    ) -> int:
        t_ns = self._advance(now_ns)
        flow = flow if 0 < flow < self.n_flows else 0
        self.stamps.append(t_ns)
        is_identified = is_identified and flow != 0
        self.arrivals.append((self.bucket, is_identified))
        self.n_all[-1] += 1
        self.n_unidentified[-1] += not is_identified
        self._count_fresh(0, flow, t_ns, self.last_ns)
        attempt = self._infer(flow, float(fingerprint), t_ns) if marked != 0 and flow else 0
        if marked >= 0:
            attempt = min(marked, retry.ATTEMPT_MAX)
        if attempt:
            self.retries.append((self.bucket, flow))
            self._count_fresh(1, flow, t_ns, self.last_retry_ns)
        return attempt

    def observe_departure(
        self, now_ns: int, flow: int, fingerprint: int, attempt: int, is_failure: bool
    ) -> None:
        if not is_failure:
            return
        t_ns = self._advance(now_ns)
        self.failed.append(self.bucket)
        if not 0 < flow < self.n_flows:
            return
        shape = float(fingerprint)
        memory = self.failures[flow]
        kept = [row for row in memory if row[0] == shape and t_ns - row[1] < retry.MEMORY_NS]
        others = [row for row in memory if row[0] != shape]
        if len(others) >= N_FAILURES:
            others.remove(min(others, key=lambda row: row[1]))
        n = min(kept[0][3] + 1, retry.FAILED_MAX) if kept else 1
        self.failures[flow] = [
            *others,
            (shape, t_ns, min(max(attempt, 0), retry.ATTEMPT_MAX), n),
        ]

    def tick(self, now_ns: int) -> None:
        self._advance(now_ns)

    # Parts

    def _infer(self, flow: int, shape: float, t_ns: int) -> int:
        for row in self.failures[flow]:
            if row[0] == shape:
                self.failures[flow].remove(row)
                if t_ns - row[1] >= retry.MEMORY_NS:
                    return 0
                if row[3] > 1:
                    self.failures[flow].append((*row[:3], row[3] - 1))
                return min(row[2] + 1, retry.ATTEMPT_MAX)
        return 0

    def _count_fresh(self, stream: int, flow: int, t_ns: int, last: dict[int, int]) -> None:
        for scale in range(N_SCALES):
            is_known = flow != 0 and flow in last
            if not is_known or t_ns - last[flow] >= synchrony.NARROWEST_NS * 2**scale:
                self.counts[stream][scale][-1] += 1
        last[flow] = t_ns

    def _window(self, counts: list[int], last: int, width: int) -> int:
        stop = last - self.first_bucket + PAD + 1
        return sum(counts[stop - width : stop])

    def _close(self, bucket: int) -> None:
        for scale in range(N_SCALES):
            width = 2 * 2**scale
            fresh, again = self.counts[0][scale], self.counts[1][scale]
            mean = self.mean[0][scale] * width
            before = self._window(fresh, bucket - 2 * width, 2 * width) / 2
            after = self._window(fresh, bucket, width)
            expected = max(mean, before, after, synchrony.MEAN_FLOOR)
            self._judge(0, bucket, scale, self._window(fresh, bucket - width, width), expected)
            mean = self.mean[1][scale] * width
            before = self._window(again, bucket - width, 2 * width) / 2
            expected = max(mean, before, synchrony.MEAN_FLOOR)
            self._judge(1, bucket, scale, self._window(again, bucket, width), expected)
        if bucket - self.first_bucket >= synchrony.LAG:
            self._learn(bucket)

    def _judge(self, stream: int, bucket: int, scale: int, count: int, expected: float) -> None:
        is_ready = len(self.lagged[0][0]) >= synchrony.READY_BUCKETS
        if stream == 0 and not is_ready:
            return
        nats = compute_surprise(count, expected, self.dispersion[stream][scale])
        if nats > self.peaks[stream][0] or bucket - self.peaks[stream][1] > 100:
            self.peaks[stream] = (nats, bucket)
        n_min = (synchrony.FRESH_MIN, synchrony.RETRY_MIN)[stream]
        if nats < synchrony.ALARM_NATS or count < n_min:
            return
        if self.is_clock_coarse():
            return
        width = 2 * 2**scale
        n_all = self._window(self.n_all, bucket - width, width)
        if stream == 0 and 2 * self._window(self.n_unidentified, bucket - width, width) > n_all:
            self.hints.append(bucket)
        else:
            self.alarms[stream].append(bucket)

    def _learn(self, bucket: int) -> None:
        for stream in range(2):
            for scale in range(N_SCALES):
                counts = self.counts[stream][scale]
                self.lagged[stream][scale].append(self._window(counts, bucket - synchrony.LAG, 1))
                n = len(self.lagged[stream][scale])
                if n <= synchrony.SLOW_BUCKETS:
                    self.mean[stream][scale] = sum(self.lagged[stream][scale]) / n
                else:
                    step = self.lagged[stream][scale][-1] - self.mean[stream][scale]
                    self.mean[stream][scale] += step / synchrony.SLOW_BUCKETS
                width = 2 * 2**scale
                if bucket % width == 0:
                    mean = self.mean[stream][scale] * width
                    floor = max(mean, synchrony.DISPERSION_MEAN_FLOOR)
                    f = self.dispersion[stream][scale]
                    square = (self._window(counts, bucket, width) - mean) ** 2
                    square = min(square, synchrony.WINSOR * f * floor)
                    f += width / synchrony.DISPERSION_BUCKETS * (square / floor - f)
                    self.dispersion[stream][scale] = max(1.0, f)

    def is_clock_coarse(self) -> bool:
        """The guard, from the stamps themselves."""
        stamps = self.stamps[-257:]
        gaps = [b - a for a, b in itertools.pairwise(stamps)]
        smallest = min((gap for gap in gaps if gap > 0), default=0)
        if smallest <= synchrony.COARSE_NS:
            return False
        return smallest * len(gaps) / sum(gaps) * len(gaps) > synchrony.COARSE_NATS

    def _decayed(self, buckets: list[int], time_constant: int) -> float:
        return sum(math.exp(-(self.bucket - 1 - b) / time_constant) for b in buckets)

    def read(self) -> dict[str, float]:
        """Every reading by name."""
        last = self.bucket - 1
        closed = list(range(self.first_bucket, self.bucket))
        arrivals = [b for b, _ in self.arrivals if b <= last]
        retries = [b for b, _ in self.retries if b <= last]
        failures = [b for b in self.failed if b <= last]
        sums = [self._decayed(x, 100) for x in (arrivals, retries, failures)]
        organic = self._decayed(arrivals, 1000) - self._decayed(retries, 1000)
        latest = {flow: b for b, flow in self.retries if flow}
        n_retrying = sum(b > last - 100 for b in latest.values())
        share = sums[1] / sums[0] if sums[0] >= 0.01 else 0.0
        seen = [ok for b, ok in self.arrivals if last - synchrony.LAG < b <= last]
        readings = {
            "arrival_rate": sums[0] * 100 / max(100.0, self._decayed(closed, 100)),
            "organic_rate": organic * 100 / max(100.0, self._decayed(closed, 1000)),
            "retry_share": share,
            "retrying_flows": n_retrying,
            "failure_share": min(1.0, sums[2] / sums[0]) if sums[0] >= 0.01 else 0.0,
            "cascade": share >= retry.CASCADE_SHARE and n_retrying >= retry.CASCADE_FLOWS,
            "synchrony_hint": any(b >= self.bucket - 100 for b in self.hints),
            "identified_share": sum(seen) / len(seen) if seen else 0.0,
            "coarse_clock": self.is_clock_coarse(),
        }
        for stream, name in enumerate(("synchrony", "retry_synchrony")):
            nats, at = self.peaks[stream]
            alarms = self.alarms[stream]
            merged = [b for i, b in enumerate(alarms) if i == 0 or b - alarms[i - 1] > 100]
            readings[name] = nats if self.bucket - at <= 101 else 0.0
            readings[f"{name}_alarm"] = bool(alarms) and self.bucket - alarms[-1] <= 100
            readings[f"{name}_alarms"] = len(merged)
        return {name: float(value) for name, value in readings.items()}
