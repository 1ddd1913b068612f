"""What the control plane needs to see of a running Governor.

*Rule of this file*: read-only protocols, but for one switch. The runtime satisfies
them; tests bring a stub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from governor.config.model import Config
from governor.control.access_log import AccessLogWriter
from governor.control.agents.audit import AuditTrail
from governor.control.lag import LoopLag
from governor.control.tally import RequestTally
from governor.control.telemetry import Telemetry
from governor.core.decision_log import DecisionLog
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.registry import Registry
from governor.proxy.stats import ProxyStats


class ProxyView(Protocol):
    """The data plane."""

    @property
    def stats(self) -> ProxyStats:
        """Its counters."""


class RecorderView(Protocol):
    """The flight recorder."""

    def describe(self) -> dict[str, Any]:
        """What it does now."""

    async def dump(self) -> dict[str, Any]:
        """Write what is in memory; return where and how much."""

    def life(self, request_id: bytes) -> dict[str, Any] | None:
        """The life of a request that is still in memory."""


class WorkerState(NamedTuple):
    """One of several processes that serve callers."""

    worker: int
    """Its place among them."""
    status: str
    """``starting``, ``serving``, ``stopped`` or ``dead``."""
    pid: int
    n_started: int
    """Processes that have been in its place, itself included."""
    in_flight: int
    n_unasked: int
    """Calls let through because the process that decides could not be asked in time."""


class FleetView(Protocol):
    """This governor's part in its fleet."""

    def start(self) -> None:
        """Begin to exchange with the others; waits for nothing."""

    def tick(self, now_ns: int) -> None:
        """See to views that are old."""

    async def close(self) -> None:
        """Leave the fleet."""

    async def look(self, now_ns: int) -> None:
        """Bring up to date who the others are."""

    def describe(self, now_ns: int) -> dict[str, Any]:
        """Return what is shared, by upstream, and how well."""


class RuntimeView(Protocol):
    """One Governor, whether it is one process or several."""

    @property
    def workers(self) -> Sequence[WorkerState]:
        """The processes that serve callers; none where one process does everything."""

    @property
    def config(self) -> Config:
        """What it was told."""

    @property
    def gates(self) -> Mapping[str, Gate]:
        """One gate per upstream, by name."""

    @property
    def identities(self) -> Identities:
        """The identity tables."""

    @property
    def registry(self) -> Registry:
        """Profiles, envelopes and restraints."""

    @property
    def audit(self) -> AuditTrail:
        """Who did what to which agent."""

    @property
    def proxy(self) -> ProxyView:
        """The data plane."""

    @property
    def decision_log(self) -> DecisionLog:
        """Recent interventions."""

    @property
    def tally(self) -> RequestTally:
        """Finished requests by key."""

    @property
    def lag(self) -> LoopLag:
        """Lateness of the tick."""

    @property
    def access_log(self) -> AccessLogWriter | None:
        """The access log's writer, if there is one."""

    @property
    def telemetry(self) -> Telemetry | None:
        """What sends spans and metrics, if the environment asks for it."""

    @property
    def recorder(self) -> RecorderView | None:
        """The flight recorder, if there is one."""

    @property
    def fleet(self) -> FleetView | None:
        """Its part in a fleet, if it is in one."""

    @property
    def started_at_ns(self) -> int:
        """Monotonic instant of the start."""

    @property
    def is_ready(self) -> bool:
        """Listening, and every kernel compiled."""

    @property
    def is_draining(self) -> bool:
        """Told to stop: finishing what is in flight."""

    def refresh(self) -> None:
        """Bring what is shown up to date, where other processes have more to tell."""

    def switch(self, name: str, value: str) -> None:
        """Set a policy switch from now on; a restart forgets it."""
