"""The calls of a worker that is gone: how long each still counts as under way.

*Rule of this file*: leases and instants; whose they were no longer matters.

*Theory*: a worker that dies takes its connections with it. Its upstream may work on nevertheless,
and a place is free when the upstream answers; nobody will tell of that. So its calls keep their
places as long as such calls usually take, counted from when each was sent, and no longer than
``LOST_NS`` in all: a service that notices the closed connections is not kept idle for long, one
that does not is not sent everything at once. Calls whose answer had begun, and those that
waited, end at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, cast

from governor.core.faults import Part
from governor.core.lease import Decision, Lease, LeaseState
from policies.decision import Outcome

if TYPE_CHECKING:
    from governor.workers.seat import Caller

LOST_NS = 900_000_000
"""Within a second of a worker's death everything that is shown is true again."""


class LostCalls:
    """Open calls that nobody will tell the end of."""

    __slots__ = ("_calls", "_n_ever")

    def __init__(self) -> None:
        self._calls: list[tuple[int, int, Lease]] = []
        self._n_ever = 0

    def add(self, now_ns: int, leases: Iterable[Lease]) -> None:
        """Take over what a worker held; what waited is closed."""
        for lease in leases:
            gate = cast("Caller", lease.owner).gate
            if lease.state is LeaseState.PENDING:
                gate.lose(now_ns, lease)
            elif lease.state is LeaseState.OPEN:
                usual_ns = 0 if lease.answered_at_ns else gate.dispatcher.response_ns
                due_ns = min(lease.dispatched_at_ns + usual_ns, now_ns + LOST_NS)
                self._n_ever += 1
                heappush(self._calls, (due_ns, self._n_ever, lease))

    def close(self, now_ns: int) -> Iterator[Sequence[Decision]]:
        """Close what is due; yield what becomes of those who get a place."""
        calls = self._calls
        while calls and calls[0][0] <= now_ns:
            lease = heappop(calls)[2]
            gate = cast("Caller", lease.owner).gate
            try:
                yield gate.depart(now_ns, lease, Outcome.CANCELLED)
            except Exception:
                gate.faults.note(Part.GATE)
