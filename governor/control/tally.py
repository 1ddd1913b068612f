"""Finished requests by upstream, route, status class and decision.

*Rule of this file*: plain integers in lists, one small table per configured
route. The Prometheus client's own counters take a lock and cost more than a
request's whole decision; these are turned into metrics when asked.

*Cost*: :meth:`RouteTally.count` is two additions and one bisection. A route
keeps its own :class:`RouteTally` at hand, so nothing is looked up by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from governor.proxy.histogram import DURATION_BOUNDS_NS, Histogram
from policies.decision import Action

REQUEST_BOUNDS_NS = (*DURATION_BOUNDS_NS, 120_000_000_000, 300_000_000_000, 600_000_000_000)
"""1 ms to 10 min: a long LLM stream is one request."""

N_CLASSES = 10
"""Status classes 0xx to 9xx: an upstream may answer anything below 1000."""

DECISIONS = (*(action.name.lower() for action in Action), "none")
"""The decision on arrival; ``none`` where the gate was not asked (no route, bad request)."""


class Count(NamedTuple):
    """One non-zero count."""

    upstream: str
    route: str
    code_class: str
    decision: str
    n: int


class RouteTally:
    """Counts of one route's finished requests."""

    __slots__ = ("counts", "durations")

    def __init__(self) -> None:
        self.counts = [0] * (N_CLASSES * len(DECISIONS))
        self.durations = Histogram(REQUEST_BOUNDS_NS)

    def count(self, status: int, decision: int, duration_ns: int) -> None:
        """Count one finished request.

        Parameters
        ----------
        status : int
            What the caller was answered; 499 if it left before.
        decision : int
            The :class:`~policies.decision.Action` on arrival, or ``UNDECIDED`` of
            :mod:`governor.proxy.stats`.
        duration_ns : int
            Arrival to end.
        """
        self.counts[status // 100 % N_CLASSES * len(DECISIONS) + decision] += 1
        self.durations.observe(duration_ns)


class RequestTally:
    """The route tallies of one process.

    Examples
    --------
    >>> tally = RequestTally()
    >>> tally.for_route("tools", "all").count(200, Action.ADMIT, 5_000_000)
    >>> list(tally.read())
    [Count(upstream='tools', route='all', code_class='2xx', decision='admit', n=1)]
    """

    __slots__ = ("routes",)

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], RouteTally] = {}

    def for_route(self, upstream: str, route: str) -> RouteTally:
        """Return the tally of a configured route, made at the first call.

        Names must come from the configuration: each makes its own series.
        """
        return self.routes.setdefault((upstream, route), RouteTally())

    def read(self) -> Iterator[Count]:
        """Yield every count that is not zero."""
        for (upstream, route), tally in self.routes.items():
            for place, n in enumerate(tally.counts):
                if n:
                    code_class, decision = divmod(place, len(DECISIONS))
                    yield Count(upstream, route, f"{code_class}xx", DECISIONS[decision], n)
