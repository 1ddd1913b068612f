"""One address of an upstream, as the gate sees it: a limit and what is in flight under it.

*Rule of this file*: what a lease takes of an endpoint, and which answers tell
how fast it is. Who may take a place is the gate's to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from governor.core.faults import Faults, Part
from governor.core.lease import Lease, LeaseState
from policies.reroute import Replica

if TYPE_CHECKING:
    from policies.limit import Limit

_OPEN: Final = LeaseState.OPEN


class Endpoint(Replica):
    """A limit, and the leases that are open under it.

    Attributes
    ----------
    in_flight : int
        Open leases that count against the limit.
    n_exempt : int
        Open leases that do not.
    faults : Faults
        Where a fault of the limit is counted.
    """

    __slots__ = ("faults", "n_exempt")

    def __init__(self, idx: int, limit: Limit, faults: Faults) -> None:
        super().__init__(idx, limit)
        self.faults = faults
        self.n_exempt = 0

    def open(self, now_ns: int, lease: Lease, is_bound: bool) -> None:
        """Give a place to a lease; ``is_bound`` if it took the last one or had to wait for it."""
        in_flight = self.in_flight = self.in_flight + 1
        lease.state = _OPEN
        lease.endpoint_idx = self.idx
        lease.dispatched_at_ns = now_ns
        lease.in_flight_at_dispatch = in_flight
        try:
            lease.phase = self.limit.on_dispatch(now_ns, in_flight, is_bound)
        except Exception:
            self.faults.note(Part.LIMIT)

    def open_exempt(self, now_ns: int, lease: Lease) -> None:
        """Let a lease in beside the limit: an idle event stream takes no capacity."""
        self.n_exempt += 1
        lease.state = _OPEN
        lease.endpoint_idx = self.idx
        lease.dispatched_at_ns = now_ns


def is_normal(status: int) -> bool:
    """Whether an answer with ``status`` tells how fast the upstream works (0: no answer)."""
    return 100 <= status < 500 and status != 429 and status != 408
