"""What a scenario is: services, callers, what is measured, and what must hold.

*Rule of this file*: values only. A scenario's numbers are part of its definition;
they are not moved when a result is disappointing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.service.spec import ServiceSpec
from bench.storm.seen import Seen
from governor.load.plan import Group

Quantities = dict[str, float]
Measure = Callable[[Seen], Quantities]

SETTLE_S = 2.0
"""Left out of what is compared: the fleet's first seconds, when connections open."""


@dataclass(frozen=True)
class Must:
    """One thing that must hold, for every seed.

    Attributes
    ----------
    text : str
        As the table of scenarios says it.
    key : str
        The measured quantity.
    sense : "<=" or ">="
    bound : float
        The value itself, or a factor of what ``against`` names.
    against : str
        "": nothing. "alone": the same quantity when the others are not there and nothing
        stands in front. "best": the best of the other peers in the same seed. "direct":
        with nothing in front in the same seed.
    plus : float
        Added to the bound.
    is_share : bool
        Shown in percent.
    """

    text: str
    key: str
    sense: Literal["<=", ">="]
    bound: float
    against: Literal["", "alone", "best", "direct"] = ""
    plus: float = 0.0
    is_share: bool = False


@dataclass(frozen=True)
class Behind:
    """One service of a scenario.

    Attributes
    ----------
    name : str
    spec : ServiceSpec
    n_endpoints : int
        Replicas, each with these slots.
    last : ServiceSpec or None
        What the last replica is instead.
    slots : int
        Told to the peers that are tuned, per endpoint; 0: those of the specification.
    calls : str
        Name of the service that this one calls, through whatever stands in front.
    """

    name: str
    spec: ServiceSpec
    n_endpoints: int = 1
    last: ServiceSpec | None = None
    slots: int = 0
    calls: str = ""

    @property
    def told_slots(self) -> int:
        """Slots as the tuned peers are told them."""
        return self.slots or self.spec.n_slots

    @property
    def specs(self) -> tuple[ServiceSpec, ...]:
        """One specification for each endpoint."""
        same = (self.spec,) * (self.n_endpoints - 1)
        return (*same, self.last if self.last is not None else self.spec)


@dataclass(frozen=True)
class Recording:
    """A recorded fleet, replayed at its own instants to the front and to the service at once.

    Attributes
    ----------
    file : str
        In the folder of traces.
    time_column : str
    start_s, length_s : float
        The part that is replayed, on the recording's clock.
    speed : float
        How much faster than recorded, waits and service times alike.
    """

    file: str
    time_column: str
    start_s: float
    length_s: float
    speed: float


@dataclass(frozen=True)
class Scenario:
    """One scenario, or one variant of it.

    Attributes
    ----------
    name : str
        Of the variant, as in ``blip-openai``.
    family : str
        The scenario's row in the table, as in ``blip``.
    text : str
        Definition in words, for the report.
    services : tuple of Behind
        The first takes the callers' requests.
    groups : tuple of Group
    seconds, drain_s : float
        How long tasks begin, and how long open ones may still end.
    measure : function of a Seen
        Quantities beyond those that every run has.
    musts : tuple of Must
    alone : tuple of str
        Groups of the run against which others are held; these must come first in ``groups``.
    patience_s : float
        Told to peers whose queue has a time limit.
    fault : tuple of (start_s, end_s) or None
        For the picture.
    watched : tuple of str
        Groups whose response times tables and picture show; empty: all.
    columns : tuple of (key, heading)
        Further quantities for the report.
    recording : Recording or None
        What is replayed instead of a plan.
    peers : tuple of str
        The only peers for which it means something; empty: all.
    """

    name: str
    family: str
    text: str
    services: tuple[Behind, ...]
    groups: tuple[Group, ...]
    seconds: float
    drain_s: float
    measure: Measure
    musts: tuple[Must, ...]
    alone: tuple[str, ...] = ()
    patience_s: float = 10.0
    fault: tuple[float, float] | None = None
    watched: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    recording: Recording | None = None
    peers: tuple[str, ...] = ()
