"""What a worker's data plane has counted, as plain numbers: written by it, added up by the keeper.

*Rule of this file*: from counters to a page and back. Counters belong to a worker's row, not to
its process: who replaces a dead worker goes on from what the row says, so no sum ever falls. What
is open now (connections, tunnels) begins at nothing.

*Regime*: what the last quarter of a second before a kill counted is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from governor.control.access_log import AccessLogWriter
from governor.control.tally import RequestTally
from governor.proxy.histogram import Histogram
from governor.proxy.stats import ProxyStats

GAUGES = ("n_connections", "n_tunnels")
_LINES = ("n_written", "n_dropped", "n_faults")
_NAMES = tuple(name for name in ProxyStats.__slots__ if name not in GAUGES)

Page = dict[str, Any]


class Counters:
    """All that is counted at one data plane, or at several together.

    Parameters
    ----------
    stats : ProxyStats
    tally : RequestTally
    log : AccessLogWriter
    """

    def __init__(self, stats: ProxyStats, tally: RequestTally, log: AccessLogWriter) -> None:
        self.stats = stats
        self.tally = tally
        self.log = log

    def encode(self) -> bytes:
        """Return a page with everything."""
        stats = self.stats
        plain = {name: _plain(getattr(stats, name)) for name in (*_NAMES, *GAUGES)}
        routes = [
            [*key, route.counts, _plain(route.durations)]
            for key, route in self.tally.routes.items()
        ]
        lines = {name: getattr(self.log, name) for name in _LINES}
        return orjson.dumps({"stats": plain, "routes": routes, "lines": lines})

    def show(self, pages: Iterable[tuple[bytes, bool]]) -> None:
        """Hold the sum of some pages from now on.

        Parameters
        ----------
        pages : iterable of (bytes, bool)
            With each, whether its data plane is there, so that what is open counts.
        """
        stats, tally, log = ProxyStats(), self.tally, self.log
        for route in tally.routes.values():
            _set(route.counts, [0] * len(route.counts))
            _set(route.durations.counts, [0] * len(route.durations.counts))
            route.durations.sum_ns = 0
        lines = dict.fromkeys(_LINES, 0)
        for data, is_there in pages:
            if data:
                page: Page = orjson.loads(data)
                self._add(stats, page, is_there)
                for name in _LINES:
                    lines[name] += page["lines"][name]
        for name in ProxyStats.__slots__:
            setattr(self.stats, name, getattr(stats, name))
        for name, n in lines.items():
            setattr(log, name, n)

    def _add(self, stats: ProxyStats, page: Page, is_there: bool) -> None:
        plain = page["stats"]
        for name in (*_NAMES, *GAUGES) if is_there else _NAMES:
            held, more = getattr(stats, name), plain[name]
            if isinstance(held, int):
                setattr(stats, name, held + more)
            elif isinstance(held, dict):
                for word, n in more.items():
                    held[word] = held.get(word, 0) + n
            else:
                _add_samples(held, more)
        for upstream, route, counts, durations in page["routes"]:
            tally = self.tally.for_route(upstream, route)
            _set(tally.counts, [a + b for a, b in zip(tally.counts, counts, strict=True)])
            _add_samples(tally.durations, durations)


def _plain(value: Any) -> Any:
    return [value.counts, value.sum_ns] if isinstance(value, Histogram) else value


def _set(held: list[int], values: list[int]) -> None:
    held[:] = values  # whoever holds the list sees it


def _add_samples(held: Histogram, more: list[Any]) -> None:
    _set(held.counts, [a + b for a, b in zip(held.counts, more[0], strict=True)])
    held.sum_ns += more[1]
