"""The scale tier: a fleet in numbers in, what became of it out.

*Rule of this file*: from a frozen description to arrays, and from arrays to figures. What happens
in between is :func:`bench.simulate.model.run`'s.

*Regime*: one kind of agent (a closed model), one kind of service, steady overload or calm; no
faults, crowds, streams or quotas. These are the exact tier's, or the sockets'.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.simulate import state
from bench.simulate.calendar import make_calendar
from bench.simulate.exact import is_governed
from bench.simulate.model import LONG_AGO_NS, run
from bench.simulate.state import (
    CELL,
    LAW_NEED,
    LAW_SHARE,
    LAW_SUM,
    N_COUNTS,
    N_RANKS,
    NOBODY,
    NODE,
    RULES,
    UPSTREAM,
    seeded,
)
from governor.load.laws import STAINLESS_FIRST_S, STAINLESS_MAX_S

LIMIT_OVER_SLOTS = 1.1
"""What the learned limit comes to in steady overload, as a multiple of the slots: means of 43 to 46
for 40 slots in the exact tier (``python -m bench simulate --curve check`` prints them)."""

LAWS = {"sum": LAW_SUM, "share": LAW_SHARE, "need": LAW_NEED}
N_NODES_MAX = 40_000_000
"""2.5 GB; a typing error ends here."""

_NS = 1e9


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is played; the defaults are ``bench density``'s.

    Attributes
    ----------
    n_agents, n_upstreams : int
    n_views : int
        Governors before each upstream; each agent calls through one of them.
    governed_share : float
        Of the agents; the others call past all governors.
    is_roaming : bool
        Whether agents choose an upstream anew for each task; else each has its own.
    law : "sum", "share" or "need"
        See :mod:`bench.simulate.views`.
    period_s, delay_s, loss : float
        Of the exchange of views.
    cut_s : (from, until)
        When a share ``cut_share`` of the governors cannot reach the hub.
    move_s : float
        When the agents of half of the governors go over to the other half; 0: never.
    """

    n_agents: int
    n_upstreams: int = 1
    n_views: int = 1
    n_slots: int = 40
    mean_s: float = 0.1
    sigma: float = 0.5
    think_s: float = 4.0
    patience_s: float = 2.0
    max_retries: int = 2
    governed_share: float = 1.0
    is_roaming: bool = False
    law: str = "share"
    period_s: float = 0.05
    delay_s: float = 0.001
    loss: float = 0.0
    cut_s: tuple[float, float] = (0.0, 0.0)
    cut_share: float = 0.0
    move_s: float = 0.0
    warm_s: float = 4.0
    seconds: float = 16.0
    drain_s: float = 4.0
    n_jobs: int = 0

    def __post_init__(self) -> None:
        if self.n_nodes > N_NODES_MAX:
            raise ValueError(f"{self.n_nodes:,} nodes: at most {N_NODES_MAX:,}")
        if self.law not in LAWS:
            raise ValueError(f"law {self.law!r}: one of {', '.join(LAWS)}")

    @property
    def n_cells(self) -> int:
        """Governors over all upstreams."""
        return self.n_upstreams * self.n_views

    @property
    def pool(self) -> int:
        """Jobs and invitations at once: what all agents can pile up in the run, by default."""
        per_agent = min(8, 2 + int((self.seconds + self.drain_s) / self.patience_s))
        return self.n_jobs or per_agent * self.n_agents + 1_000

    @property
    def n_nodes(self) -> int:
        """Lines of 64 bytes."""
        return self.n_agents + self.pool + self.n_cells + 1

    @property
    def capacity_hz(self) -> float:
        """Of all upstreams, calls per second."""
        return self.n_upstreams * self.n_slots / self.mean_s

    @property
    def load(self) -> float:
        """Offered over capacity, if every call took its mean (as ``bench density`` says it)."""
        return self.n_agents / (self.think_s + self.mean_s) / self.capacity_hz


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes
    ----------
    counts : array
        By the names of :mod:`bench.simulate.state`.
    timeline : array
        Rows as there, columns of 0.1 s.
    n_open : int
        Tasks that had not ended.
    cpu_s : float
        Of the kernel.
    """

    fleet: Fleet
    counts: NDArray[np.int64]
    timeline: NDArray[np.float64]
    n_open: int
    cpu_s: float

    @property
    def waste_ratio(self) -> float:
        """Slot-seconds of nobody over all."""
        busy_s = float(self.timeline[state.BUSY_S].sum())
        return float(self.timeline[state.WASTED_S].sum()) / busy_s if busy_s else 0.0

    @property
    def goodput_hz(self) -> float:
        """Tasks done per second after the warm-up."""
        return self.goodput_between_hz(self.fleet.warm_s, self.fleet.seconds)

    @property
    def attempts_per_task(self) -> float:
        """Calls over tasks."""
        return float(self.counts[state.ATTEMPTS]) / max(1, int(self.counts[state.TASKS]))

    @property
    def success_ratio(self) -> float:
        """Tasks done over tasks."""
        return float(self.counts[state.DONE]) / max(1, int(self.counts[state.TASKS]))

    def goodput_between_hz(self, start_s: float, stop_s: float) -> float:
        """Tasks done per second in a part of the run."""
        steps = slice(_step(start_s), _step(stop_s))
        return float(self.timeline[state.DONE_EACH, steps].sum()) / (stop_s - start_s)


def _step(at_s: float) -> int:
    return round(at_s * _NS / state.BIN_NS)


def make_rules(fleet: Fleet) -> Any:
    """Return what the kernel is told."""
    rules = np.zeros(1, dtype=RULES)
    r = rules[0]
    r["n_agents"], r["n_upstreams"], r["n_views"] = fleet.n_agents, fleet.n_upstreams, fleet.n_views
    r["n_slots"] = fleet.n_slots
    r["mu"], r["sigma"] = math.log(fleet.mean_s) - fleet.sigma**2 / 2.0, fleet.sigma
    r["think_ns"], r["patience_ns"] = fleet.think_s * _NS, fleet.patience_s * _NS
    r["max_tries"] = fleet.max_retries
    r["backoff_first_ns"], r["backoff_most_ns"] = STAINLESS_FIRST_S * _NS, STAINLESS_MAX_S * _NS
    r["backoff_jitter"] = 0.25
    r["is_roaming"], r["law"] = fleet.is_roaming, LAWS[fleet.law]
    r["limit"] = LIMIT_OVER_SLOTS * fleet.n_slots
    r["period_ns"], r["delay_ns"], r["loss"] = (
        fleet.period_s * _NS,
        fleet.delay_s * _NS,
        fleet.loss,
    )
    r["cut_from_ns"], r["cut_until_ns"] = (at_s * _NS for at_s in fleet.cut_s)
    r["ttl_ns"] = max(1.0, 3.0 * (fleet.period_s + fleet.delay_s)) * _NS
    r["move_ns"] = fleet.move_s * _NS
    r["end_ns"] = fleet.seconds * _NS
    r["stop_ns"] = (fleet.seconds + fleet.drain_s) * _NS
    return rules


def make_world(fleet: Fleet, seed: int) -> tuple[Any, ...]:
    """Return the arrays of a run that has not begun."""
    n_agents, n_cells = fleet.n_agents, fleet.n_cells
    nodes = np.zeros(fleet.n_nodes, dtype=NODE)
    nodes["peer"] = NOBODY
    agents = nodes[:n_agents]
    number = np.arange(n_agents)
    agents["cell"] = (number % fleet.n_upstreams) * fleet.n_views + (
        number // fleet.n_upstreams
    ) % fleet.n_views
    agents["upstream"] = number % fleet.n_upstreams
    round_number = number // n_cells
    agents["is_governed"] = [is_governed(int(n), fleet.governed_share) for n in round_number]
    agents["since"] = LONG_AGO_NS
    jobs = np.arange(n_agents, n_agents + fleet.pool)
    nodes["after"][jobs] = np.append(jobs[1:], NOBODY)
    pool = np.array([n_agents, fleet.pool], dtype=np.int64)
    n_entries = n_agents + fleet.n_upstreams * fleet.n_slots + n_cells
    buckets, numbers = make_calendar(n_entries, int((fleet.think_s + fleet.patience_s) * _NS))
    cells = np.zeros(n_cells, dtype=CELL)
    rng = np.random.default_rng([seed, 1])
    cells["dither"] = rng.permuted(
        np.tile((np.arange(fleet.n_views) + 0.5) / fleet.n_views, (fleet.n_upstreams, 1)), axis=1
    ).ravel()
    cells["is_cut"] = np.tile(
        np.arange(fleet.n_views) < fleet.cut_share * fleet.n_views, fleet.n_upstreams
    )
    upstreams = np.zeros(fleet.n_upstreams, dtype=UPSTREAM)
    if fleet.n_views > 1:
        introduce(fleet, upstreams, cells)
    lines = (
        np.full((n_cells, N_RANKS), NOBODY, dtype=np.int32),
        np.full((n_cells, N_RANKS), NOBODY, dtype=np.int32),
    )
    n_steps = _step(fleet.seconds + fleet.drain_s) + 1
    return (
        nodes,
        buckets,
        numbers,
        pool,
        upstreams,
        cells,
        lines,
        make_rules(fleet),
        np.zeros(N_COUNTS, dtype=np.int64),
        np.zeros((4, n_steps)),
        seeded(seed),
    )


def introduce(fleet: Fleet, upstreams: Any, cells: Any) -> None:
    """Let the hub and all governors know each other as equals: a fleet that has been running.

    The first news of a start from nothing would be a sum of whoever came first.
    """
    in_flight = LIMIT_OVER_SLOTS * fleet.n_slots / fleet.n_views
    demand = in_flight + 1.0
    if fleet.law != "need":
        demand = fleet.n_agents / (fleet.think_s + fleet.mean_s) / fleet.n_cells
    for name, value in (("in_flight", in_flight), ("demand", demand)):
        cells[f"hub_{name}"] = value
        cells[f"others_{name}"] = value * (fleet.n_views - 1)
        upstreams[f"hub_{name}"] = value * fleet.n_views
    cells["hub_at"] = 1


def warm_up() -> None:
    """Compile the kernel, or load it, so that no run is charged with it."""
    play(Fleet(n_agents=10, seconds=1.0))


def play(fleet: Fleet, seed: int = 1) -> Outcome:
    """Play a fleet; the same seed gives the same outcome.

    Raises
    ------
    RuntimeError
        If more jobs piled up than there is room for.
    """
    world = make_world(fleet, seed)
    began_s = time.process_time()
    run(world)
    cpu_s = time.process_time() - began_s
    counts = world[8]
    if counts[state.OVERFLOWS]:
        raise RuntimeError(f"more than {fleet.pool:,} jobs at once: set n_jobs")
    states = world[0]["state"][: fleet.n_agents]
    n_open = int(np.isin(states, (state.AWAY, state.CALLING)).sum())
    return Outcome(fleet, counts, world[9], n_open, cpu_s)
