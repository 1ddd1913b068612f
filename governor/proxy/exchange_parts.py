"""What an exchange is made of, and what may be read of it at any time.

*Rule of this file*: parts; nothing happens here. What happens to a request is
:mod:`governor.proxy.exchange`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from governor.core.lease import Decision, Lease
from governor.proxy.state import NEW
from governor.proxy.stats import ProxyStats

if TYPE_CHECKING:
    from governor.core.decision_log import Intervention
    from governor.core.gate import Gate
    from governor.errors import GovernorError
    from governor.proxy.downstream import Downstream
    from governor.proxy.headers import RequestHead
    from governor.proxy.peer import Peer
    from governor.proxy.pool import EndpointPool
    from governor.proxy.router import Route
    from governor.proxy.server import ProxyServer
    from governor.proxy.upstream import UpstreamConnection
    from policies.decision import Outcome

NOTHING: list[bytes] = []
"""Shared by all exchanges that hold nothing; never written."""


class ExchangeParts:
    """What one request's way through the proxy is made of.

    Attributes
    ----------
    downstream : Downstream or None
        Who gets the answer; None once it has left.
    lease : Lease or None
        None before the gate was asked, when it failed, and once closed.
    connection : UpstreamConnection or None
    failure : tuple or None
        What becomes of it if there is nowhere else to go; set while a gate in another
        process is asked.
    state : int
        See :mod:`governor.proxy.state`.
    minor : int
        The caller's minor version: 0 or 1.
    is_request_done : bool
        Whether the caller has sent all of its request.
    stamp_ns : int
        When something last moved on the upstream's side.
    """

    __slots__ = (
        "arrived_at_ns",
        "connection",
        "decision",
        "detour",
        "dispatched_at_ns",
        "downstream",
        "failure",
        "first_byte_ns",
        "gate",
        "head",
        "held",
        "held_bytes",
        "interventions",
        "is_head",
        "is_replayed",
        "is_request_done",
        "keep_alive",
        "kept",
        "lease",
        "left_at_ns",
        "minor",
        "n_in_bytes",
        "n_out_bytes",
        "overhead_ns",
        "own_reason",
        "peer",
        "pool",
        "pools",
        "request_id",
        "retry_after_ns",
        "route",
        "sent",
        "server",
        "stamp_ns",
        "state",
        "stats",
        "status",
        "waited_ns",
        "waits_for",
        "waits_since_ns",
    )

    is_carrier: ClassVar[bool] = False
    """Whether it makes a call for several callers."""

    def __init__(
        self,
        downstream: Downstream,
        head: RequestHead,
        route: Route,
        request_id: bytes,
        now_ns: int,
    ) -> None:
        self.downstream: Downstream | None = downstream
        self.head = head
        self.route = route
        self.gate: Gate = route.gate
        self.server: ProxyServer = downstream.server
        self.peer: Peer = downstream.peer
        self.stats: ProxyStats = downstream.stats
        self.request_id = request_id
        self.arrived_at_ns = self.stamp_ns = self.waits_since_ns = now_ns
        self.lease: Lease | None = None
        self.decision: Decision | None = None
        self.connection: UpstreamConnection | None = None
        self.pools = route.pools
        self.pool: EndpointPool = route.pools[0]
        self.state = NEW
        self.status = 0
        self.is_head: bool = head.method == b"HEAD"
        self.minor = 0 if head.version == "1.0" else 1
        self.keep_alive: bool = head.keep_alive
        self.is_request_done = False
        self.is_replayed = False
        self.held = NOTHING
        self.held_bytes = 0
        self.sent: bytes | None = None
        self.kept: list[bytes] | None = None
        self.own_reason = self.detour = self.waits_for = ""
        self.interventions: tuple[Intervention, ...] = ()
        self.failure: tuple[GovernorError, Outcome] | None = None
        self.left_at_ns = self.retry_after_ns = 0
        self.dispatched_at_ns = self.waited_ns = self.first_byte_ns = self.overhead_ns = 0
        self.n_in_bytes = self.n_out_bytes = 0
