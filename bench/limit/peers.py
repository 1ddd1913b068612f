"""Published limits behind the project's own interface: same gate, line and slots.

The originals reject beyond their limit; here the gate holds, as it does for
ours, so that only the limit differs. Constants are the published defaults.
"""

from __future__ import annotations

from math import sqrt

from policies.limit import FixedLimit
from policies.limit.protocol import NS_PER_S


class EnvoyGradient(FixedLimit):
    """Envoy's adaptive concurrency filter (gradient controller), defaults of its documentation.

    References
    ----------
    Envoy, docs ``adaptive_concurrency_filter.rst``: gradient = (minRTT +
    buffer) / sampleRTT within [0.5, 2], limit = gradient * limit +
    sqrt(limit); sampleRTT is the median over 100 ms; minRTT the median of 50
    requests at 3 in flight, once a minute and after 5 windows at the minimum.
    """

    __slots__ = ("_at_minimum", "_jitter", "_min_ns", "_probe_at_ns", "_samples", "_saved", "_win")

    N_PROBE = 50
    MINIMUM = 3
    BUFFER = 0.25
    INTERVAL_NS = 60 * NS_PER_S
    WINDOW_NS = NS_PER_S // 10
    MAXIMUM = 1000

    def __init__(self, seed: int = 0) -> None:
        super().__init__(self.MINIMUM)
        self._samples: list[int] = []
        self._min_ns = 0.0
        self._probe_at_ns = -1
        self._saved = self.MINIMUM
        self._win = 0
        self._at_minimum = 0
        self._jitter = seed

    def _probe(self) -> None:
        self._saved = max(self.limit, self.MINIMUM)
        self.limit = self.MINIMUM
        self._min_ns = 0.0
        self._samples.clear()
        self._at_minimum = 0

    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Collect a sample; the probe ends with its fiftieth."""
        super().on_answer(now_ns, phase, dispatched_at_ns, in_flight_at_dispatch, in_flight)
        if self._min_ns == 0.0 and in_flight_at_dispatch > self.MINIMUM:
            return
        self._samples.append(now_ns - dispatched_at_ns)
        if self._min_ns == 0.0 and len(self._samples) >= self.N_PROBE:
            self._min_ns = float(sorted(self._samples)[self.N_PROBE // 2])
            self._samples.clear()
            self.limit = self._saved
            self._win = now_ns
            self._jitter = (self._jitter * 1103515245 + 12345) & 0x7FFFFFFF
            jitter_ns = int(0.1 * self.INTERVAL_NS * self._jitter / 0x7FFFFFFF)
            self._probe_at_ns = now_ns + self.INTERVAL_NS + jitter_ns

    def tick(self, now_ns: int, in_flight: int) -> None:
        """Update the limit once per window."""
        super().tick(now_ns, in_flight)
        if self._min_ns == 0.0 or now_ns - self._win < self.WINDOW_NS:
            return
        self._win = now_ns
        if now_ns >= self._probe_at_ns:
            self._probe()
            return
        if not self._samples:
            return
        sample_ns = float(sorted(self._samples)[len(self._samples) // 2])
        self._samples.clear()
        gradient = max(0.5, min(2.0, self._min_ns * (1.0 + self.BUFFER) / sample_ns))
        limit = gradient * self.limit
        self.limit = int(max(self.MINIMUM, min(self.MAXIMUM, limit + sqrt(limit))))
        self._at_minimum = self._at_minimum + 1 if self.limit <= self.MINIMUM else 0
        if self._at_minimum >= 5:
            self._probe()


class Gradient2(FixedLimit):
    """Netflix concurrency-limits ``Gradient2Limit`` behind its ``WindowedLimit``, defaults.

    References
    ----------
    Netflix/concurrency-limits, ``Gradient2Limit.java``: long RTT a mean over
    600 samples, short RTT the mean of a window of 1 s and at least 10 samples;
    tolerance 1.5, queue 4, smoothing 0.2, limit 20 to 200, from 20.
    """

    __slots__ = ("_count", "_estimate", "_long_ns", "_max_in_flight", "_n_window", "_sum", "_win")

    def __init__(self, seed: int = 0) -> None:
        super().__init__(20)
        self._estimate = 20.0
        self._long_ns = 0.0
        self._count = 0
        self._sum = 0
        self._n_window = 0
        self._max_in_flight = 0
        self._win = -1

    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Collect a sample; update the limit when the window is full."""
        super().on_answer(now_ns, phase, dispatched_at_ns, in_flight_at_dispatch, in_flight)
        if self._win < 0:
            self._win = now_ns
        self._sum += now_ns - dispatched_at_ns
        self._n_window += 1
        self._max_in_flight = max(self._max_in_flight, in_flight)
        if now_ns - self._win < NS_PER_S or self._n_window < 10:
            return
        short_ns = self._sum / self._n_window
        in_flight_max = self._max_in_flight
        self._win, self._sum, self._n_window, self._max_in_flight = now_ns, 0, 0, 0
        self._update(short_ns, in_flight_max)

    def _update(self, short_ns: float, in_flight: int) -> None:
        self._count += 1
        if self._count <= 10:
            self._long_ns += (short_ns - self._long_ns) / self._count
        else:
            self._long_ns += (short_ns - self._long_ns) * 2.0 / 601.0
        if self._long_ns / short_ns > 2.0:
            self._long_ns *= 0.95
        if in_flight < self._estimate / 2.0:
            return
        gradient = max(0.5, min(1.0, 1.5 * self._long_ns / short_ns))
        wanted = self._estimate * gradient + 4.0
        estimate = 0.8 * self._estimate + 0.2 * wanted
        self._estimate = max(20.0, min(200.0, estimate))
        self.limit = int(self._estimate)
