"""One arrival's life in the gate: a pending place in the line, then a claim.

*Rule of this file*: facts about one request only. The gate writes them; the
rim reads ``state`` and hangs its own object on ``owner``, which the core never
looks into.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, TypeVar, overload

from mypy_extensions import mypyc_attr

from governor.core.arrival import Arrival
from policies.decision import Action, Reason
from signals.calls import ATTEMPT_MASK


class LeaseState(IntEnum):
    """PENDING holds no capacity, OPEN holds one place of an endpoint, CLOSED holds nothing."""

    PENDING = 0
    OPEN = 1
    CLOSED = 2


_PENDING: Final = LeaseState.PENDING
_ADMIT: Final = Action.ADMIT
_UNTOUCHED: Final = Reason.UNTOUCHED


@mypyc_attr(allow_interpreted_subclasses=True)  # a worker's lease knows more
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
        The signals' handle of this call, see :mod:`signals.calls`; while a recording is made
        its number there stands above (:mod:`signals.tape`).
    has_left : bool
        The caller is gone; the upstream's work is an orphan.
    waits_since_ns : int
        When it joined the line; set only of those that have.
    phase, in_flight_at_dispatch : int
        Bookkeeping of the adaptive limit.
    tried : int
        Bit per endpoint that has failed it before its first byte.
    number : int
        In the recording that is replayed; set only then (:mod:`governor.record.replay`).
    """

    __slots__ = (
        "answered_at_ns",
        "arrival",
        "arrived_at_ns",
        "call",
        "dispatched_at_ns",
        "endpoint_idx",
        "has_left",
        "in_flight_at_dispatch",
        "line_key",
        "number",
        "owner",
        "phase",
        "state",
        "tried",
        "waits_since_ns",
    )

    answered_at_ns: int
    arrival: Arrival
    arrived_at_ns: int
    call: int
    dispatched_at_ns: int
    endpoint_idx: int
    has_left: bool
    in_flight_at_dispatch: int
    line_key: int
    number: int
    owner: Any
    phase: int
    state: LeaseState
    tried: int
    waits_since_ns: int

    @property
    def attempt(self) -> int:
        """Attempt number after inference: 0 fresh, >= 1 a retry."""
        return self.call & ATTEMPT_MASK


L = TypeVar("L", bound=Lease)


@overload
def make_lease(arrival: Arrival, arrived_at_ns: int, call: int, owner: Any = None) -> Lease: ...
@overload
def make_lease(arrival: Arrival, arrived_at_ns: int, call: int, owner: Any, kind: type[L]) -> L: ...
def make_lease(
    arrival: Arrival, arrived_at_ns: int, call: int, owner: Any = None, kind: type[Lease] = Lease
) -> Lease:
    """Return a pending lease; a function, for a constructor would cost each request 0.1 us more."""
    lease = kind()
    lease.arrival = arrival
    lease.owner = owner
    lease.call = call
    lease.arrived_at_ns = arrived_at_ns
    lease.dispatched_at_ns = lease.answered_at_ns = 0
    lease.in_flight_at_dispatch = lease.tried = 0
    lease.state = _PENDING
    lease.endpoint_idx = lease.phase = lease.line_key = -1
    lease.has_left = False
    return lease


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
    observed : Reason or None
        With ``OBSERVED``: why a policy that only observes would have acted.
    """

    __slots__ = ("action", "lease", "observed", "reason", "retry_after_ns", "status")

    def __init__(
        self,
        action: Action,
        reason: Reason,
        lease: Lease,
        retry_after_ns: int = 0,
        status: int = 0,
        observed: Reason | None = None,
    ) -> None:
        self.action = action
        self.reason = reason
        self.lease = lease
        self.retry_after_ns = retry_after_ns
        self.status = status
        self.observed = observed

    def __repr__(self) -> str:
        what = f"{self.action.name}, {self.reason.value}"
        return f"Decision({what}, retry_after_ns={self.retry_after_ns})"


class Wordless(Decision):
    """A decision that says nothing but its action, which is its class's."""

    __slots__ = ()

    def __init__(self, action: Action) -> None:
        self.action = action
        self.reason = Reason.UNTOUCHED
        self.retry_after_ns = 0
        self.status = 0
        self.observed = None


class Asked(Wordless):
    """In place of a decision: the gate is in another process, has been asked, and will say."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Action.WAIT)


@mypyc_attr(free_list_len=1)  # made and gone with each request
class Untouched(Wordless):
    """What is decided of nearly every request: admitted on arrival, nothing else to say.

    It has a lease and is otherwise always the same.
    """

    __slots__ = ()

    def __init__(self) -> None:
        self.action = _ADMIT  # as Wordless does, without the call
        self.reason = _UNTOUCHED
        self.retry_after_ns = 0
        self.status = 0
        self.observed = None
