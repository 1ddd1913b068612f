"""The latest interventions: a bounded ring of plain numbers and words.

*Rule of this file*: what was done to a request beyond just admitting it, why,
and the readings it rested on. No I/O; the oldest entry makes room.

*Cost*: one small object per intervention (about 1 us); untouched requests pay
nothing, for the gate does not call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from governor.core.gate import Gate
    from governor.core.lease import Decision

CAPACITY: Final = 1_000
"""Interventions kept: a storm's first seconds at hundreds a second; about 400 KB."""


class Intervention(NamedTuple):
    """One thing done to one request, and the readings behind it."""

    sequence: int
    """Counts interventions since the start; a gap shows what a reader missed."""
    at_ns: int
    """Monotonic instant."""
    upstream: str
    request_id: str
    action: str
    """``admit`` (after waiting, or observed), ``wait`` or ``answer``."""
    reason: str
    status: int
    """With ``answer``: the status given; else 0."""
    retry_after_ns: int
    """With ``answer``: the caller's slot, from ``at_ns``."""
    waited_ns: int
    attempt: int
    tenant: int
    flow: int
    tree: int
    urgency: int
    endpoint_idx: int
    in_flight: int
    limit: int
    line_length: int
    capacity_hz: float
    organic_hz: float
    retry_ratio: float
    synchrony_nats: float
    observed: str = ""
    """With ``observed``: the reason for which a policy that only observes would have acted."""
    is_storm: bool = False
    """What was foretold: more callers coming back than can be served."""
    crossing_s: float = 0.0
    """With a storm: how soon."""
    expected_hz: float = 0.0
    """Arrivals that were expected of those who come by themselves, in the next 200 ms."""


def _no_id(owner: Any) -> str:
    return ""


class DecisionLog:
    """A ring of :class:`Intervention`; the gate appends, the control plane reads.

    Parameters
    ----------
    capacity : int
        Entries kept.
    get_request_id : Callable[[Any], str]
        Asks the lease's owner for its request id: the core cannot look into it.
    on_append : Callable[[Any, Intervention], None], optional
        Told of each intervention with the lease's owner, for the trace of its request.
    """

    __slots__ = ("_entries", "_get_request_id", "_on_append", "capacity", "n_appended", "n_faults")

    def __init__(
        self,
        capacity: int = CAPACITY,
        get_request_id: Callable[[Any], str] = _no_id,
        on_append: Callable[[Any, Intervention], None] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}: must be at least 1")
        self.capacity = capacity
        self.n_appended = 0
        self.n_faults = 0
        self._get_request_id = get_request_id
        self._on_append = on_append
        self._entries: list[Intervention | None] = [None] * capacity

    def __len__(self) -> int:
        return min(self.n_appended, self.capacity)

    def append(self, now_ns: int, gate: Gate, decision: Decision, waited_ns: int) -> None:
        """Record one intervention; a fault here is counted and never reaches the request."""
        try:
            entry = self._describe(now_ns, gate, decision, waited_ns)
            self._entries[self.n_appended % self.capacity] = entry
            if self._on_append is not None:
                self._on_append(decision.lease.owner, entry)
        except Exception:
            self.n_faults += 1
            return
        self.n_appended += 1

    def last(self, n: int) -> list[Intervention]:
        """Return up to ``n`` interventions, newest first."""
        newest = self.n_appended - 1
        places = range(newest, newest - min(n, len(self)), -1)
        found = [self._entries[place % self.capacity] for place in places]
        return [entry for entry in found if entry is not None]

    def _describe(
        self, now_ns: int, gate: Gate, decision: Decision, waited_ns: int
    ) -> Intervention:
        lease = decision.lease
        arrival = lease.arrival
        signals = gate.signals
        return Intervention(
            self.n_appended,
            now_ns,
            gate.name,
            self._get_request_id(lease.owner),
            decision.action.name.lower(),
            decision.reason.value,
            decision.status,
            decision.retry_after_ns,
            waited_ns,
            lease.attempt,
            arrival.tenant,
            arrival.flow,
            arrival.tree,
            arrival.urgency,
            lease.endpoint_idx,
            gate.in_flight,
            gate.limit,
            gate.line_length,
            gate.dispatcher.capacity_hz,
            signals.organic_hz(),
            signals.retry_ratio(),
            signals.synchrony_nats(),
            "" if decision.observed is None else decision.observed.value,
            gate.outlook.is_storm,
            gate.outlook.crossing_s,
            gate.outlook.held_hz,
        )
