"""A runtime of real parts without sockets: what the control plane reads, fed by hand."""

from __future__ import annotations

from governor.config.model import Config
from governor.control import AccessLogWriter, LoopLag, RequestTally
from governor.control.agents import AuditTrail
from governor.control.view import FleetView, RecorderView, WorkerState
from governor.core.arrival import Arrival
from governor.core.decision_log import DecisionLog
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.registry import Registry
from governor.proxy.stats import ProxyStats, RequestRecord
from policies.decision import Action, Outcome
from policies.limit import FixedLimit
from signals import Shared, SignalBank

MS = 1_000_000


class StubProxy:
    """Only the counters of a data plane."""

    def __init__(self) -> None:
        self.stats = ProxyStats()


class StubRuntime:
    """Satisfies ``RuntimeView``; listens on a free loopback port."""

    def __init__(self, admin: str | None = "127.0.0.1:0") -> None:
        self.config = Config(
            admin={"address": admin},
            upstreams={"tools": {"endpoints": ["http://127.0.0.1:9"]}},
        )
        self.identities = Identities(16, 64, 64)
        self.registry = Registry(self.identities, Shared(64, 64, 64))
        self.audit = AuditTrail()
        self.decision_log = DecisionLog(get_request_id=lambda owner: f"request-{owner}")
        self.gates = {"tools": self._make_gate()}
        self.proxy = StubProxy()
        self.tally = RequestTally()
        self.lag = LoopLag()
        self.access_log: AccessLogWriter | None = None
        self.telemetry = None
        self.recorder: RecorderView | None = None
        self.fleet: FleetView | None = None
        self.started_at_ns = 0
        self.is_ready = True
        self.is_draining = False
        self.workers: tuple[WorkerState, ...] = ()

    def _make_gate(self) -> Gate:
        return Gate(
            "tools",
            [FixedLimit(1)],
            SignalBank(64),
            self.identities,
            max_waiting=1,
            log=self.decision_log,
        )

    def refresh(self) -> None:
        """There is nobody else."""

    def switch(self, name: str, value: str) -> None:
        """Remember what was switched, as the runtime does."""
        policies = self.config.policies.model_copy(update={name: value})
        self.config = self.config.model_copy(update={"policies": policies})

    def intervene(self, n: int = 1) -> None:
        """Send ``n`` arrivals away, after one that is served and one that waits."""
        gate = self.gates["tools"]
        flow = self.identities.flows.index
        first = gate.arrive(0, Arrival(flow=flow(1, 0)), owner=0)
        waiting = gate.arrive(0, Arrival(flow=flow(2, 0)), owner=1)
        assert (first.action, waiting.action) == (Action.ADMIT, Action.WAIT)
        for idx in range(n):
            arrival = Arrival(flow=flow(100 + idx, 0), attempt=1)
            assert gate.arrive(MS, arrival, owner=2 + idx).action is Action.ANSWER
        for decision in gate.depart(20 * MS, first.lease, Outcome.COMPLETED, 200):
            gate.depart(40 * MS, decision.lease, Outcome.ORPHANED, 200)
        gate.tick(50 * MS)


def make_record(**fields: object) -> RequestRecord:
    """Return a finished request; what is not given is an untouched GET."""
    record = RequestRecord()
    plain: dict[str, object] = {
        "method": b"GET",
        "target": b"/v1/tools",
        "route": "all",
        "upstream": "tools",
        "status": 200,
        "decision": "admit",
        "reason": "untouched",
        "duration_ns": 12_345_678,
        "request_id": b"abc",
        "outcome": "completed",
    }
    for name, value in (plain | fields).items():
        setattr(record, name, value)
    return record
