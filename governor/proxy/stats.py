"""What the data plane counts: plain integers, read by the control plane.

*Rule of this file*: numbers with a name, no behaviour. Totals only rise;
gauges say so. Nothing here is keyed by what a caller sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from governor.proxy.histogram import OVERHEAD_BOUNDS_NS, Histogram
from policies.decision import Action

if TYPE_CHECKING:
    from governor.core.decision_log import Intervention

UNDECIDED = len(Action)
"""In place of an action: the gate was not asked, or failed."""


class RequestRecord:
    """What is known of one finished request: shape and fate, never content.

    Attributes
    ----------
    method : bytes
    target : bytes
        As received; whoever logs it cuts the query off.
    route, upstream : str
        Names from the configuration; empty where no route took the request.
    status : int
        What the caller was answered; 499 if it left before.
    decision, reason : str
        What the gate did, ``""`` if it was not asked; for own answers the reason of the answer.
    is_touched : bool
        Delayed, answered by Governor, or failed.
    waited_ns, duration_ns, first_byte_ns : int
        In the line; arrival to end; dispatch to the response's first byte. 0 if it did not happen.
    bytes_in, bytes_out : int
        Body bytes from and to the caller (bytes to the caller include heads).
    request_id : bytes
    outcome : str
        The lease's outcome; empty if there was no lease.
    span : tuple of int or None
        Ids of trace, span and parent, if the request is sampled; what follows is for its span.
    ended_at_ns : int
        Monotonic instant of the end.
    scheme, version : str
        How the caller spoke: ``http`` or ``https``, ``1.1`` or ``1.0``.
    local : tuple of (str, int)
        Address and port of the listener that took it.
    waits_for : str
        Why it had to wait on arrival; empty if it did not.
    interventions : sequence of Intervention
        What was done to it, with the readings behind it; kept only while spans are sent.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "decision",
        "duration_ns",
        "ended_at_ns",
        "first_byte_ns",
        "interventions",
        "is_touched",
        "local",
        "method",
        "outcome",
        "reason",
        "request_id",
        "route",
        "scheme",
        "span",
        "status",
        "target",
        "upstream",
        "version",
        "waited_ns",
        "waits_for",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.route = ""
        self.upstream = ""
        self.status = 0
        self.decision = ""
        self.reason = ""
        self.is_touched = False
        self.waited_ns = 0
        self.duration_ns = 0
        self.first_byte_ns = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.request_id = b""
        self.outcome = ""
        self.span: tuple[int, int, int] | None = None
        self.ended_at_ns = 0
        self.scheme = ""
        self.version = ""
        self.local = ("", 0)
        self.waits_for = ""
        self.interventions: tuple[Intervention, ...] = ()


DoneHook = Callable[[RequestRecord], None]

SampleHook = Callable[[bytes], tuple[int, int, int] | None]
"""From a request's traceparent (``b""``: it sent none) to the ids of its span, or None."""


class ProxyStats:
    """Counters and histograms of one process's data plane.

    Attributes
    ----------
    n_left : int
        Requests whose caller left before the answer's end.
    n_malformed_hints : int
        Hints of callers that could not be understood, and so were not heeded.
    n_own_answers : dict of str to int
        Answers of Governor's own by reason (a closed list of words).
    n_upstream_fresh, n_upstream_reused : int
        Requests sent on a new and on a kept connection.
    n_retried_on_dead : int
        Requests sent again because a kept connection was dead.
    n_connections_refused : int
        Callers' connections above the cap.
    n_faults : int
        Own bugs survived: the gate or a hook raised.
    """

    __slots__ = (
        "bytes_from_callers",
        "bytes_to_callers",
        "first_byte",
        "n_connect_failures",
        "n_connections",
        "n_connections_accepted",
        "n_connections_refused",
        "n_faults",
        "n_left",
        "n_malformed_hints",
        "n_own_answers",
        "n_requests",
        "n_retried_on_dead",
        "n_tunnels",
        "n_upstream_broken",
        "n_upstream_fresh",
        "n_upstream_reused",
        "overhead",
        "waiting",
    )

    def __init__(self) -> None:
        self.bytes_from_callers = 0
        self.bytes_to_callers = 0
        self.n_requests = 0
        self.n_left = 0
        self.n_malformed_hints = 0
        self.n_own_answers: dict[str, int] = {}
        self.n_upstream_fresh = 0
        self.n_upstream_reused = 0
        self.n_retried_on_dead = 0
        self.n_upstream_broken = 0
        self.n_connect_failures = 0
        self.n_connections = 0
        self.n_connections_accepted = 0
        self.n_connections_refused = 0
        self.n_tunnels = 0
        self.n_faults = 0
        self.overhead = Histogram(OVERHEAD_BOUNDS_NS)
        self.waiting = Histogram()
        self.first_byte = Histogram()

    def count_own_answer(self, reason: str) -> None:
        """Count one answer of Governor's own."""
        counts = self.n_own_answers
        counts[reason] = counts.get(reason, 0) + 1
