"""Finished requests by upstream, route, status class and decision.

*Rule of this file*: plain integers keyed by words from the configuration and
from closed lists. The Prometheus client's own counters take a lock and cost
more than a request's whole decision; these are turned into metrics when asked.
"""

from __future__ import annotations

from governor.proxy.histogram import DURATION_BOUNDS_NS, Histogram
from governor.proxy.stats import RequestRecord

KEYS_MAX = 10_000
"""Series kept; far above routes x classes x decisions. Further ones count as ``other``."""

REQUEST_BOUNDS_NS = (*DURATION_BOUNDS_NS, 120_000_000_000, 300_000_000_000, 600_000_000_000)
"""1 ms to 10 min: a long LLM stream is one request."""

Key = tuple[str, str, int, str]
"""Upstream, route, status class (0..9), decision."""


class RequestTally:
    """Counts of finished requests; ``observe`` is a hook of the data plane.

    Attributes
    ----------
    counts : dict
        :data:`Key` to number of requests.
    durations : dict of str to Histogram
        Arrival to end, by upstream.
    """

    __slots__ = ("counts", "durations")

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}
        self.durations: dict[str, Histogram] = {}

    def observe(self, record: RequestRecord) -> None:
        """Count one finished request."""
        key = (record.upstream, record.route, record.status // 100, record.decision)
        counts = self.counts
        count = counts.get(key)
        if count is None:
            if len(counts) >= KEYS_MAX:
                key = ("other", "other", record.status // 100, "other")
            count = counts.get(key, 0)
        counts[key] = count + 1
        durations = self.durations.get(record.upstream)
        if durations is None:
            durations = Histogram(REQUEST_BOUNDS_NS)
            if len(self.durations) < KEYS_MAX:
                self.durations[record.upstream] = durations
        durations.observe(record.duration_ns)
