"""The exact tier: a socket scenario on a virtual clock, with the real gate.

*Rule of this file*: a scenario, a front and a seed in, what was seen out. What it means is
the scenario's own ``measure``, the same function that judges the sockets.

*Theory*: what a proxy decides is a function of its configuration and its events, for the core
reads no clock; what remains between this and the sockets is the time that bytes take and the
order of what happens within it. So the two need not agree to the call, but in goodput, waste
and attempts; by how much is measured, for every cell (:mod:`bench.simulate.check`).

*Cost*: 15 to 30 µs of one core an event with the gate, most of it the gate; so minutes of a few
thousand agents, not a million. For that there is :mod:`bench.simulate.scale`, which is checked
against this.

*Considered and rejected*: an event loop of asyncio with a clock of its own under the
unchanged rim and callers. It would run the parsers too, at a tenth of the speed, to
decide the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from bench.simulate.callers import Fleet
from bench.simulate.clock import Agenda
from bench.simulate.front import Direct, Front, Governed
from bench.simulate.service import NotSimulated, SimulatedService
from bench.storm import common
from bench.storm.base import Quantities, Scenario
from bench.storm.seen import Seen
from governor.core.gate import Gate
from governor.load.plan import Plan

BEGIN_S = 1_000.0
"""The clock at the start: to a gate, an instant of 0 means that it is not known."""

Peer = Literal["direct", "governor"]


@dataclass(frozen=True)
class Played:
    """One run.

    Attributes
    ----------
    seen : Seen
    quantities : dict
        As the socket benchmark's.
    n_events : int
        Of the clock; ``n_calls`` of the gate's methods.
    cpu_s : float
        Of the run, construction left out.
    gate : Gate or None
        As it was at the end; the first of several.
    limits : list of (instant, limit, line)
        Every 50 ms, from the start, over all gates; empty with nothing in front.
    """

    seen: Seen
    quantities: Quantities
    n_events: int
    n_calls: int
    cpu_s: float
    gate: Gate | None
    limits: list[tuple[float, int, int]]


def play(
    scenario: Scenario,
    peer: Peer,
    seed: int,
    *,
    governed_share: float = 1.0,
    n_governors: int = 1,
) -> Played:
    """Play a scenario.

    Parameters
    ----------
    peer : "direct" or "governor"
    seed : int
        The same as on sockets gives the same fresh tasks and the same demands.
    governed_share : float
        Of the agents; the others call the service past Governor.
    n_governors : int
        Side by side, sharing nothing; each agent calls through one of them.
    """
    if len(scenario.services) != 1 or len(scenario.services[0].specs) != 1:
        raise NotSimulated(f"{scenario.name}: only one service with one endpoint is simulated")
    if scenario.recording is not None:
        raise NotSimulated(f"{scenario.name}: recordings are replayed on sockets")
    agenda = Agenda(BEGIN_S)
    behind = scenario.services[0]
    service = SimulatedService(agenda, behind.spec, seed * 100)
    direct = Direct(service)
    governed = [
        Governed(agenda, service, scenario.groups)
        for _ in range(n_governors if peer == "governor" else 0)
    ]
    plan = Plan(("http://simulated",), scenario.groups, scenario.seconds, scenario.drain_s, seed)

    def front_of(group_idx: int, index: int) -> Front:
        if not governed or not is_governed(index, governed_share):
            return direct
        return governed[index % n_governors]

    fleet = Fleet(agenda, plan, front_of)
    limits = watch(agenda, [each.gate for each in governed]) if governed else []
    began_cpu_s = time.process_time()
    fleet.start()
    agenda.run(BEGIN_S + plan.seconds)
    agenda.run(BEGIN_S + plan.seconds + plan.drain_s, lambda: fleet.is_idle)
    cpu_s = time.process_time() - began_cpu_s
    record = {"began_s": BEGIN_S, **fleet.record.columns()}
    names = [group.name for group in scenario.groups]
    seen = Seen(record, {behind.name: [service.log]}, names, scenario.seconds, BEGIN_S)
    return Played(
        seen,
        common.measure(seen, scenario.watched) | scenario.measure(seen),
        agenda.n_events,
        sum(each.n_calls for each in governed),
        cpu_s,
        governed[0].gate if governed else None,
        limits,
    )


def is_governed(index: int, share: float) -> bool:
    """Return whether an agent's traffic passes Governor; evenly spread over the agents.

    >>> [is_governed(index, 0.25) for index in range(8)]
    [False, False, False, True, False, False, False, True]
    """
    return int((index + 1) * share + 1e-9) > int(index * share + 1e-9)


def watch(agenda: Agenda, gates: list[Gate]) -> list[tuple[float, int, int]]:
    """Return a list that fills with (s from the start, limit, line length) every 50 ms."""
    seen: list[tuple[float, int, int]] = []
    began_s = agenda.now_s

    def look(now_s: float, _: object) -> None:
        limit, n_waiting = sum(x.limit for x in gates), sum(x.line_length for x in gates)
        seen.append((now_s - began_s, limit, n_waiting))
        agenda.at(now_s + 0.05, look)

    agenda.at(began_s, look)
    return seen
