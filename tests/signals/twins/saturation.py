"""Slow twin of saturation: every window computed afresh from the list of its answers."""

from __future__ import annotations

import math
from typing import NamedTuple

from signals import capacity, latency, saturation


class Answer(NamedTuple):
    """One first byte."""

    wait_s: float
    n_met: int


class NaiveSaturation:
    """Told of the same calls as a bank; seconds are closed by hand."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}
        self.answered: dict[int, int] = {}
        self.arrived: dict[int, int] = {}
        self.window: list[Answer] = []
        self.least: list[int] = [0]
        self.window_s = 0
        self.n_windows = 0
        self.streams: list[float] = []
        self.stream_s: float | None = None
        self.slopes: list[tuple[float, float, float]] = []
        self.base: tuple[float, float] | None = None
        self.n_base = 0
        self.spread = 0.0
        self.usual_met = 0.0
        self.flat_s = 0
        self.full = self.saturated = False
        self.n_queued = 0
        self.known = self.proven = 0.0
        self.run = (0.0, 0.0)
        self.slump = (0.0, 0.0)
        self.rate = (0, 0)
        self.levels: list[tuple[int, float, float]] = []  # level, weight, ln W

    # Events

    def arrive(self, call: int, t_ns: int) -> None:
        self.met[call] = len(self.met) + 1
        self.arrived[call] = t_ns

    def _answer(self, call: int, t_ns: int) -> None:
        wait_s = max((t_ns - self.arrived[call]) * 1e-9, saturation.WAIT_MIN_S)
        self.window.append(Answer(wait_s, self.met[call]))
        if not self.full:
            self.levels.append((self._level(self.met[call]), 1.0, math.log(wait_s)))

    def first_byte(self, call: int, t_ns: int) -> None:
        if call in self.met and call not in self.answered:
            self._answer(call, t_ns)
            self.answered[call] = t_ns

    def end(self, call: int, t_ns: int, is_work: bool) -> None:
        if call not in self.met:
            return
        if is_work:
            if call not in self.answered:
                self._answer(call, t_ns)
                self.streams.append(0.0)
            else:
                self.streams.append((t_ns - self.answered[call]) * 1e-9)
        self.answered.pop(call, None)
        del self.met[call]

    @staticmethod
    def _level(n: int) -> int:
        return min(latency.N_LEVELS - 1, math.floor(8 * math.log2(n) + 1e-9))

    @property
    def unanswered(self) -> int:
        return len(self.met) - len(self.answered)

    # Time

    def close_bucket(self, ends_second: bool) -> None:
        self.least.append(self.unanswered)
        if not ends_second:
            return
        self.proven *= capacity.PROVEN_DECAY
        self.window_s += 1
        n = len(self.window)
        late = n >= latency.N_WINDOW_LATE and self.window_s >= saturation.LATE_S
        if n >= latency.N_WINDOW or late:
            self._close_window()
        elif self.window_s < saturation.STALE_S:
            return
        self.window, self.window_s, self.least = [], 0, [self.unanswered]

    def _slope(self) -> tuple[float, float] | None:
        keep = latency.SLOPE_DECAY
        ages = range(len(self.slopes) - 1, -1, -1)
        num = sum(keep**k * s[0] for k, s in zip(ages, self.slopes, strict=True))
        den = sum(keep**k * s[1] for k, s in zip(ages, self.slopes, strict=True))
        noise = sum(keep ** (2 * k) * s[2] for k, s in zip(ages, self.slopes, strict=True))
        return (num / den, math.sqrt(noise) / den) if den > latency.TINY else None

    def _is_steep(self) -> bool:
        found = self._slope()
        return found is not None and found[0] - latency.SLOPE_SD * found[1] > latency.SLOPE_MIN

    def _is_flat(self) -> bool:
        found = self._slope()
        return found is not None and found[0] + latency.SLOPE_SD * found[1] < latency.SLOPE_FLAT

    def _close_window(self) -> None:
        n = len(self.window)
        logs = [math.log(a.wait_s) for a in self.window]
        met = [math.log(a.n_met) for a in self.window]
        mean_log, mean_met = sum(logs) / n, sum(met) / n
        within = sum((x - mean_log) ** 2 for x in logs) / n
        self.spread += max(0.1, 1.0 / (self.n_windows + 1)) * (within - self.spread)
        low = [a for a in self.window if self.n_windows == 0 or a.n_met <= self.usual_met]
        self.n_windows += 1
        if len(self.streams) >= latency.N_WINDOW_LATE:
            mean = sum(self.streams) / len(self.streams)
            if self.stream_s is None:
                self.stream_s = mean
            self.stream_s += saturation.STREAM_GAIN * (mean - self.stream_s)
            self.streams = []
        xx = sum((x - mean_met) ** 2 for x in met)
        xy = sum((x - mean_met) * y for x, y in zip(met, logs, strict=True))
        rest = max(0.0, within * n - xy * xy / xx) / (n - 2) if xx > latency.TINY else 0.0
        self.slopes.append((xy, xx, rest * xx) if xx > latency.TINY else (0.0, 0.0, 0.0))
        self._judge(n)
        self._learn_base(low, mean_log)
        if self.saturated:
            self._measure(n)
        else:
            self.slump = (0.0, 0.0)
            if not self.full:
                self._prove_places()
        self._prove_rate(n)
        self.usual_met = math.exp(mean_met)
        fade = capacity_fade(self.window_s)
        self.levels = [(level, w * fade, x) for level, w, x in self.levels]

    def _judge(self, n: int) -> None:
        waits_s = sum(a.wait_s for a in self.window)
        least = min(self.least)
        was_full, self.full = self.full, False
        if self.n_base >= latency.N_BASE_MIN and self.base is not None:
            busy = n / self.window_s * self.base[1]
            self.full = least > (1.1 + 2.0 / math.sqrt(n)) * busy + 1.0
        if self.full != was_full:
            self.slopes = []
        if not self.full:
            self.n_queued, self.saturated = 0, False
        elif least > 1.3 * waits_s / self.window_s + 1.0 or self._is_steep():
            self.n_queued += 1
        self.saturated = self.saturated or self.n_queued >= saturation.N_QUEUED

    def _move(self, step: float) -> None:
        assert self.base is not None
        self.base = (self.base[0] + step, self.base[1] * math.exp(step))
        self.flat_s = 0
        if abs(step) > latency.BASE_STEP:
            best = max(self.known, self.proven)
            self.proven, self.known = best * math.exp(-max(step, 0.0)), 0.0
            self.levels = []

    def _learn_base(self, low: list[Answer], mean_log: float) -> None:
        if self.n_base < latency.N_BASE_MIN:
            log0, mean0 = self.base or (0.0, 0.0)
            mean = sum(a.wait_s for a in self.window) / len(self.window)
            self.n_base += 1
            self.base = (
                log0 + (mean_log - log0) / self.n_base,
                mean0 + (mean - mean0) / self.n_base,
            )
            if self.n_base == latency.N_BASE_MIN:
                self.slopes = []
            return
        if len(low) < latency.N_WINDOW_LATE or self.base is None:
            return
        distance = sum(math.log(a.wait_s) for a in low) / len(low) - self.base[0]
        error = math.sqrt((self.spread + latency.TINY) / len(low))
        if distance < -max(latency.BASE_SD_LOWER * error, latency.BASE_FALL):
            self._move(distance)
            return
        is_far = distance > max(latency.BASE_SD * error, latency.BASE_RISE)
        is_flat = not self.saturated and self._is_flat()
        if is_far:
            if is_flat:
                self.flat_s += self.window_s
                if self.flat_s >= latency.FLAT_S:
                    self._move(distance)
            return
        self.flat_s = 0
        if not self.full or is_flat:
            mean = sum(a.wait_s for a in low) / len(low)
            gain = latency.BASE_GAIN
            self.base = (
                self.base[0] + gain * distance,
                self.base[1] + gain * (mean - self.base[1]),
            )

    def _prove_places(self) -> None:
        if self.n_base < latency.N_BASE_MIN or self.stream_s is None or self.base is None:
            return
        pending = [self._level(n) for call, n in self.met.items() if call not in self.answered]
        for level in sorted({row[0] for row in self.levels}, reverse=True):
            rows = [row for row in self.levels if row[0] >= level]
            n = sum(row[1] for row in rows)
            n_pending = sum(p >= level for p in pending)
            if n < capacity.N_PROOF or n_pending > capacity.PENDING_MAX * n:
                continue
            mean = sum(row[1] * row[2] for row in rows) / n
            error = math.sqrt((self.spread + latency.TINY) / n)
            if mean + error - self.base[0] <= capacity.PROOF_BIAS:
                places = 2.0 ** (level / 8)
                self.proven = max(self.proven, places / (self.base[1] + self.stream_s))
                return

    def _prove_rate(self, n: int) -> None:
        self.rate = (self.rate[0] + self.window_s, self.rate[1] + n)
        seconds, total = self.rate
        hold_s = (self.base[1] if self.base else 0.0) + (self.stream_s or 0.0)
        if self.stream_s is None or seconds < 2.0 * hold_s:
            return
        if total < capacity.N_RATE and seconds < capacity.RATE_S:
            return
        proof = max(0.0, total - 2.0 * math.sqrt(total)) / seconds
        self.proven = max(self.proven, proof)
        if self.known > 0.0 and proof > self.known and not self.saturated:
            self.known = 0.0
        self.rate = (0, 0)

    def _measure(self, n: int) -> None:
        rate, noise = n / self.window_s, 2.0 * math.sqrt(n) / self.window_s
        best = max(self.known, self.proven)
        if rate + noise < capacity.SLUMP_RATIO * best:
            self.slump = (self.slump[0] + self.window_s, self.slump[1] + n)
            if self.slump[0] < capacity.SLUMP_S:
                return
            self.run, self.proven = self.slump, 0.0
        else:
            if rate - noise > best:
                self.run = (0.0, 0.0)
            self.run = (self.run[0] + self.window_s, self.run[1] + n)
        self.slump = (0.0, 0.0)
        seconds, total = self.run
        if seconds > capacity.RUN_S:
            total, seconds = total * capacity.RUN_S / seconds, capacity.RUN_S
            self.run = (seconds, total)
        hold_s = (self.base[1] if self.base else 0.0) + (self.stream_s or 0.0)
        if total >= latency.N_WINDOW and seconds >= hold_s:
            self.known = total / seconds


def capacity_fade(seconds: int) -> float:
    """Half in two minutes."""
    return 0.5 ** (seconds / 120.0)
