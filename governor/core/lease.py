"""One arrival's life in the gate: a pending place in the line, then a claim.

*Rule of this file*: facts about one request only. The gate writes them; the
rim reads ``state`` and hangs its own object on ``owner``, which the core never
looks into.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from governor.core.arrival import Arrival
from policies.decision import Action, Reason
from signals import ATTEMPT_MASK


class LeaseState(IntEnum):
    """PENDING holds no capacity, OPEN holds one place of an endpoint, CLOSED holds nothing."""

    PENDING = 0
    OPEN = 1
    CLOSED = 2


_PENDING = LeaseState.PENDING


class Lease:
    """An arrival's claim on an endpoint; closes exactly once.

    Attributes
    ----------
    arrival : Arrival
    owner : Any
        The rim's exchange. Opaque to the core.
    state : LeaseState
    endpoint_idx : int
        Index of the endpoint within the upstream; -1 while pending.
    arrived_at_ns, dispatched_at_ns, answered_at_ns : int
        Monotonic instants; 0 while unknown. ``answered_at_ns`` is the first byte.
    call : int
        The signals' handle of this call, see :mod:`signals.calls`.
    attempt : int
        Attempt number after inference: 0 fresh, >= 1 a retry.
    has_left : bool
        The caller is gone; the upstream's work is an orphan.
    phase, in_flight_at_dispatch : int
        Bookkeeping of the adaptive limit.
    """

    __slots__ = (
        "answered_at_ns",
        "arrival",
        "arrived_at_ns",
        "attempt",
        "call",
        "dispatched_at_ns",
        "endpoint_idx",
        "has_left",
        "in_flight_at_dispatch",
        "line_key",
        "owner",
        "phase",
        "state",
    )

    def __init__(self, arrival: Arrival, arrived_at_ns: int, call: int, owner: Any = None) -> None:
        self.arrival = arrival
        self.owner = owner
        self.state: LeaseState = _PENDING
        self.endpoint_idx = -1
        self.arrived_at_ns = arrived_at_ns
        self.dispatched_at_ns = 0
        self.answered_at_ns = 0
        self.call = call
        self.attempt = call & ATTEMPT_MASK
        self.has_left = False
        self.phase = -1
        self.in_flight_at_dispatch = 0
        self.line_key = -1


class Decision:
    """What to do with one lease now.

    Attributes
    ----------
    action : Action
    reason : Reason
    lease : Lease
    retry_after_ns : int
        With ``ANSWER``: how long from now until the caller's own slot.
    status : int
        With ``ANSWER``: 429 (capacity exists, wait) or 503 (nothing behind us).
    """

    __slots__ = ("action", "lease", "reason", "retry_after_ns", "status")

    def __init__(
        self, action: Action, reason: Reason, lease: Lease, retry_after_ns: int = 0, status: int = 0
    ) -> None:
        self.action = action
        self.reason = reason
        self.lease = lease
        self.retry_after_ns = retry_after_ns
        self.status = status

    def __repr__(self) -> str:
        what = f"{self.action.name}, {self.reason.value}"
        return f"Decision({what}, retry_after_ns={self.retry_after_ns})"
