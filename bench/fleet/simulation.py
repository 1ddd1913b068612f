"""Several real gates in front of one modelled service, on a virtual clock.

*Rule of this file*: the simulation of ``bench limit`` with more than one governor. Each call of an
agent goes to a governor drawn at random; every governor exchanges with a board once a tick, each in
its own phase, and replies take their time, get lost, or come from a board that has lost everything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.fleet.board import Board
from bench.limit.cells import Cell, make_identities
from bench.limit.scenarios import SCENARIOS, Scenario
from bench.limit.services import Law, Service
from bench.limit.simulator import N_FLOWS, PATIENCE_S, Simulation
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease
from governor.fleet.member import Member
from policies.decision import Outcome
from policies.limit import AdaptiveLimit, FixedLimit
from policies.limit.shared import SharedLimit
from signals import SignalBank

_EXCHANGE, _REPLY, _WIPE = 100, 101, 102


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What becomes of exchanges.

    Attributes
    ----------
    delay_s : float
        Of a reply, at most; drawn evenly.
    loss : float
        Share of exchanges that get no reply, though half of those are done by the board.
    outages : tuple
        Intervals without any exchange.
    wiped_at_s : float
        Instant at which the board loses everything; below 0 never.
    """

    delay_s: float = 0.001
    loss: float = 0.0
    outages: tuple[tuple[float, float], ...] = field(default=())
    wiped_at_s: float = -1.0


class Crew:
    """Gates that stand side by side, as one gate to the simulation."""

    def __init__(self, gates: Sequence[Gate], weights: Sequence[float], seed: int) -> None:
        self.gates = gates
        self.members: list[Member] = []
        self._weights = list(weights)
        self._rng = random.Random(seed * 31 + 5)
        self._of: dict[Lease, Gate] = {}

    @property
    def limit(self) -> int:
        """Places of all."""
        return sum(gate.limit for gate in self.gates)

    @property
    def in_flight(self) -> int:
        """Calls of all."""
        return sum(gate.in_flight for gate in self.gates)

    def arrive(self, now_ns: int, arrival: Arrival, owner: Any = None) -> Decision:
        """Ask one of them, drawn at random."""
        gate = self._draw(arrival)
        decision = gate.arrive(now_ns, arrival, owner)
        self._of[decision.lease] = gate
        return decision

    def _draw(self, _arrival: Arrival) -> Gate:
        return self._rng.choices(self.gates, self._weights)[0]

    def share_view(self, tick_s: float) -> None:
        """Exchange with each other once a tick."""
        self.members = [Member(gate, int(tick_s * 1e9)) for gate in self.gates]

    def gate_of(self, lease: Lease) -> Gate:
        """Return whose call it is."""
        return self._of[lease]

    def answered(self, now_ns: int, lease: Lease, status: int) -> None:
        """Tell whose call it is."""
        self._of[lease].answered(now_ns, lease, status)

    def leave(self, now_ns: int, lease: Lease) -> Sequence[Decision]:
        """Tell whose call it is."""
        return self._of[lease].leave(now_ns, lease)

    def depart(
        self, now_ns: int, lease: Lease, outcome: Outcome, status: int
    ) -> Sequence[Decision]:
        """Tell whose call it is."""
        return self._of.pop(lease).depart(now_ns, lease, outcome, status)

    def tick(self, now_ns: int) -> list[Decision]:
        """Let all of them look."""
        decisions: list[Decision] = []
        for member in self.members:
            member.tick(now_ns)
        for gate in self.gates:
            decisions += gate.tick(now_ns)
        return decisions


class FleetSimulation(Simulation):
    """One run of one scenario with several governors."""

    def __init__(
        self,
        scenario: Scenario,
        service: Service,
        crew: Crew,
        seed: int,
        *,
        tick_s: float,
        weather: Weather,
    ) -> None:
        super().__init__(scenario, service, crew, crew, seed, patience_s=PATIENCE_S)  # type: ignore[arg-type]
        self.crew = crew
        self.board = Board()
        self.tick_s = tick_s
        self.weather = weather
        self.weather_rng = random.Random(seed * 17 + 3)
        self.over: list[tuple[float, int, int]] = []
        for idx, member in enumerate(crew.members):
            self.push((idx + 0.37) * tick_s / len(crew.members), _EXCHANGE, member)
        if weather.wiped_at_s >= 0.0:
            self.push(weather.wiped_at_s, _WIPE, weather)

    def _on_rare(self, now_s: float, kind: int, who: Any) -> None:
        if kind == _EXCHANGE:
            self.push(now_s + self.tick_s, _EXCHANGE, who)
            self._exchange(now_s, who)
        elif kind == _REPLY:
            member, sent_at_s, reply = who
            if reply is None:
                member.lose()
            elif member.take(int(now_s * 1e9), int(sent_at_s * 1e9), reply):
                self._exchange(now_s, member)
        elif kind == _WIPE:
            self.board.wipe()
        else:
            super()._on_rare(now_s, kind, who)

    def _exchange(self, now_s: float, member: Member) -> None:
        weather, rng = self.weather, self.weather_rng
        is_out = any(start <= now_s < stop for start, stop in weather.outages)
        is_lost = is_out or rng.random() < weather.loss
        call = member.call(int(now_s * 1e9))
        reply = None
        if not is_out and (not is_lost or rng.random() < 0.5):
            idx = self.crew.members.index(member)
            skew_us = 1_000_000_000 + 3_000_000 * idx
            reply = self.board.exchange(int(now_s * 1e6) + skew_us * 0 + 10**15, str(idx), call)
        at_s = now_s + rng.random() * weather.delay_s
        self.push(at_s, _REPLY, (member, now_s, None if is_lost else reply))


def make_crew(
    n: int,
    slots: int,
    seed: int,
    *,
    is_shared: bool,
    limit: str = "auto",
    tick_s: float = 0.1,
    weights: Sequence[float] = (),
) -> Crew:
    """Return n gates; with members where they share a view."""
    gates = make_gates(n, slots, seed, is_shared=is_shared, limit=limit)
    crew = Crew(gates, weights or [1.0] * n, seed)
    if is_shared:
        crew.share_view(tick_s)
    return crew


def make_gates(
    n: int, slots: int, seed: int, *, is_shared: bool, limit: str = "auto"
) -> list[Gate]:
    """Return n gates."""
    gates = []
    for idx in range(n):
        number = seed * 100 + idx + 1
        inner = AdaptiveLimit(number) if limit == "auto" else FixedLimit(slots)
        gates.append(
            Gate(
                "modelled",
                [SharedLimit(inner) if is_shared else inner],
                SignalBank(N_FLOWS),
                make_identities(),
                patience_ns=10_000_000_000,
                max_wait_ns=30_000_000_000,
            )
        )
    return gates


def run(
    cell: Cell,
    seed: int,
    n: int,
    *,
    is_shared: bool = True,
    limit: str = "auto",
    tick_s: float = 0.1,
    weather: Weather | None = None,
    weights: Sequence[float] = (),
) -> tuple[dict[str, dict[str, float]], FleetSimulation]:
    """Run a cell of ``bench limit`` with n governors; return the figures and the simulation."""
    service = Service(cell.kind, cell.slots, Law(cell.law, seed * 101 + 7))
    crew = make_crew(
        n, cell.slots, seed, is_shared=is_shared, limit=limit, tick_s=tick_s, weights=weights
    )
    simulation = FleetSimulation(
        SCENARIOS[cell.scenario], service, crew, seed, tick_s=tick_s, weather=weather or Weather()
    )
    return simulation.run(), simulation
