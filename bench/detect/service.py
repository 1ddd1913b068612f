"""The service that callers call, what befalls it, and what else is called beside it.

*Rule of this file*: descriptions; :mod:`bench.detect.simulation` lives them.

*Regime*: hard slots, FIFO, service time lognormal with mean 0.3 s and sigma
0.5. Slots = offered work / load, so that a load of 0.75 keeps three quarters of
them busy. The service works on for callers that have left. A refusal takes
2 ms.

*Faults*: ``crash``: all in flight, waiting or worked on, breaks at once, then
every connection is refused for 2 s (``crash-10``: 10 s). ``refuse``: nine in
ten new calls are answered 503 for 4 s. ``stall``: a tenth of the speed for
4 s; meant for callers with a patience.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.detect.callers import Fleet
from bench.detect.traces import Trace
from governor.load.laws import TRANSPORT

SERVICE_S, SIGMA = 0.3, 0.5
LOG_MEAN = math.log(SERVICE_S) - 0.5 * SIGMA * SIGMA
"""Of the lognormal whose mean is ``SERVICE_S``."""

REFUSAL_S = 0.002
"""From a call to its refusal: a round trip on a local network."""

PATIENCE_S = 2.0
"""Of callers in a stall."""


class Fault(NamedTuple):
    """What happens to the service.

    Attributes
    ----------
    name : str
    length_s : float
    refused_share : float
        Of new calls.
    status : int
        That a refused or broken call gets; ``TRANSPORT``: a broken connection.
    speed : float
    breaks : bool
        Everything in flight fails as it begins.
    retry_after_s : float
        Told to refused callers; 0: nothing is told.
    """

    name: str
    length_s: float
    refused_share: float = 0.0
    status: int = TRANSPORT
    speed: float = 1.0
    breaks: bool = False
    retry_after_s: float = 0.0


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("crash", 2.0, refused_share=1.0, breaks=True),
        Fault("crash-10", 10.0, refused_share=1.0, breaks=True),
        Fault("refuse", 4.0, refused_share=0.9, status=503),
        Fault("stall", 4.0, speed=0.1),
        Fault("none", 0.0),
    )
}


class Overlay(NamedTuple):
    """Recorded calls through the same service and bank: open loop, they never call again."""

    trace: Trace
    speed: float = 1.0
    start_s: float = 0.0
    """Where in the recording (on its own clock) the run begins."""


class Beside(NamedTuple):
    """Recorded calls of another upstream, with the recording's own latency; all go well."""

    trace: Trace
    upstream: int
    speed: float = 1.0
    start_s: float = 0.0


class World(NamedTuple):
    """One run: callers, service, what befalls it and when."""

    fleet: Fleet
    load: float = 0.75
    fault: Fault = FAULTS["none"]
    fault_s: float = 60.0
    end_s: float = 80.0
    overlay: Overlay | None = None
    beside: tuple[Beside, ...] = ()

    @property
    def fault_end_s(self) -> float:
        """When the service is well again."""
        return self.fault_s + self.fault.length_s

    @property
    def offered(self) -> float:
        """Slots that the offered work keeps busy, on the mean."""
        fleet_hz = self.fleet.n / (self.fleet.think_s + SERVICE_S)
        overlay = self.overlay
        overlay_hz = overlay.trace.rate_hz * overlay.speed if overlay is not None else 0.0
        return (fleet_hz + overlay_hz) * SERVICE_S

    @property
    def slots(self) -> int:
        """Slots of the service."""
        return max(1, round(self.offered / self.load))

    @property
    def capacity_hz(self) -> float:
        """Calls that the healthy service can finish per second."""
        return self.slots / SERVICE_S

    @property
    def n_flows(self) -> int:
        """Size of an identity table that holds everyone."""
        traces = [x.trace for x in (self.overlay, *self.beside) if x is not None]
        return 1 + self.fleet.n + sum(int(t.flow.max(initial=0)) for t in traces)
