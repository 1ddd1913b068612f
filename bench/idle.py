"""What upstreams cost that nobody calls: the share of a core that goes into their ticks.

Real gates on a made-up clock, in this process; what is measured is CPU time. Ways are played in
turn, a made-up second each, and the median of the rounds is told:

- *every tick*: each gate is told each tick, as if none could rest,
- *idle*: as the process does it,
- *busy*: five gates with 100 calls/s each, alone, and among forty-five that nobody calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import signals
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Lease
from governor.core.rest import QUIET_NS, TICK_NS, Rota
from policies.decision import Action, Outcome
from policies.limit import AdaptiveLimit
from signals import Shared, SignalBank

TICKS_A_SECOND = 1_000_000_000 // TICK_NS
N_IDLE, N_FEW, N_BUSY = 1_000, 50, 5
CALLS_A_TICK = 5
N_CALLERS = 97


class Gates:
    """Gates of one process, some of them called, told every tick or only those that are due."""

    def __init__(self, n: int, n_busy: int = 0, *, spares: bool = True) -> None:
        identities = Identities()
        for table in (identities.tenants, identities.flows, identities.trees):
            for key in range(1, N_CALLERS + 1):
                table.index(key, 0)
        shared = Shared(n_trees=identities.trees.capacity, n_flows=identities.flows.capacity)
        self.gates: Sequence[Gate] = [
            Gate(
                f"upstream-{idx}",
                [AdaptiveLimit(rng_seed=idx + 1)],
                SignalBank(
                    identities.flows.capacity,
                    shared,
                    idx,
                    n_tenants=identities.tenants.capacity,
                ),
                identities,
            )
            for idx in range(n)
        ]
        self._busy = self.gates[:n_busy]
        self._rota = Rota(self.gates) if spares else None
        self._open: list[tuple[Gate, Lease]] = []
        self._now_ns = TICK_NS
        self._n_calls = 0
        for _ in range(QUIET_NS // TICK_NS + 2):  # until those that nobody calls may rest
            self._tick(range(n))

    def play_second(self) -> float:
        """Let a second pass; return the CPU time that it took, in seconds."""
        everyone = range(len(self.gates))
        began_s = time.process_time()
        for _ in range(TICKS_A_SECOND):
            self._tick(everyone if self._rota is None else self._rota.due())
        return time.process_time() - began_s

    def _tick(self, due: Sequence[int]) -> None:
        now_ns, step_ns = self._now_ns, TICK_NS // (CALLS_A_TICK + 1)
        for gate, lease in self._open:
            gate.depart(now_ns, lease, Outcome.COMPLETED, 200)
        self._open.clear()
        for idx in due:
            self.gates[idx].tick(now_ns)
        for call in range(CALLS_A_TICK):
            for gate in self._busy:
                self._n_calls += 1
                who = self._n_calls % N_CALLERS + 1
                arrival = Arrival(1, who, who, fingerprint=self._n_calls, is_identified=True)
                decision = gate.arrive(now_ns + (call + 1) * step_ns, arrival)
                if decision.action is Action.ADMIT:
                    self._open.append((gate, decision.lease))
        self._now_ns += TICK_NS


def measure_idle(n_rounds: int) -> dict[str, float]:
    """Return the share of a core that each way takes."""
    signals.warm_up()
    makers: dict[str, Callable[[], Gates]] = {
        "1,000 idle, every tick": lambda: Gates(N_IDLE, spares=False),
        "1,000 idle": lambda: Gates(N_IDLE),
        "5 busy alone": lambda: Gates(N_BUSY, N_BUSY),
        "5 busy and 45 idle": lambda: Gates(N_FEW, N_BUSY),
        "5 busy and 45 idle, every tick": lambda: Gates(N_FEW, N_BUSY, spares=False),
    }
    ways = {name: make() for name, make in makers.items()}
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(n_rounds):
        for name, way in ways.items():
            seen[name].append(way.play_second())
    return {name: median(shares) for name, shares in seen.items()}
