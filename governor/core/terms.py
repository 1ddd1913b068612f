"""What a route lays down for its requests: numbers, settled once before the first of them.

*Rule of this file*: from configuration's words to the integers that an
:class:`~governor.core.arrival.Arrival` carries. Nothing is looked up per request;
a route that lays nothing down has no terms and costs one test.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from governor.core.arrival import URGENCY_DEFAULT, Arrival
from policies.switches import NO_SWITCHES


class Terms(NamedTuple):
    """One route's own terms.

    Examples
    --------
    >>> arrival = Arrival(patience_ns=5)
    >>> Terms(max_wait_ns=9, patience_ns=7, urgency=6).lay_down(arrival)
    >>> arrival.max_wait_ns, arrival.patience_ns, arrival.urgency
    (9, 5, 6)
    """

    switches: int = NO_SWITCHES
    """The policies' states (:mod:`policies.switches`); -1: as the file says."""
    max_wait_ns: int = 0
    """Longest wait for a place; 0: the upstream's."""
    patience_ns: int = 0
    """Of callers that do not say; 0: assumed, then learned."""
    urgency: int = URGENCY_DEFAULT
    """Of requests that name none, or the usual one."""

    def lay_down(self, arrival: Arrival) -> None:
        """Put these terms on a request; what it says of itself stands."""
        arrival.switches = self.switches
        arrival.max_wait_ns = self.max_wait_ns
        if not arrival.patience_ns:
            arrival.patience_ns = self.patience_ns
        if arrival.urgency == URGENCY_DEFAULT:
            arrival.urgency = self.urgency


NO_TERMS: Final = Terms()
