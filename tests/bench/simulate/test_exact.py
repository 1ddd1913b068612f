"""The exact tier: the sockets' tasks, books that close, one seed one run, the real gate at work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.density import density
from bench.service.spec import ServiceSpec
from bench.simulate.exact import Peer, is_governed, play
from bench.simulate.service import NotSimulated
from bench.storm.base import Behind, Scenario
from bench.storm.catalogue import SCENARIOS
from governor.load.schedule import rng_for


def small(n_agents: int) -> Scenario:
    """Return a density run on eight slots, four seconds long."""
    behind = Behind("tool", ServiceSpec(8, 0.1, 0.5))
    return replace(density(n_agents), services=(behind,), seconds=6.0, drain_s=30.0)


@pytest.mark.parametrize("peer", ["direct", "governor"])
def test_every_task_ends_once_and_every_attempt_has_one_outcome(peer: Peer) -> None:
    """Overloaded, with time to drain: no task is open, lost or counted twice."""
    played = play(small(700), peer, 1)
    q, seen = played.quantities, played.seen
    assert q["unfinished"] == 0.0
    assert q["succeeded"] + q["failed"] == q["tasks"] == len(seen.group)
    assert q["refusals"] + q["timeouts"] > 100.0
    assert (seen.status >= 0).all()
    assert np.array_equal(np.bincount(seen.task), seen.n_attempts)
    good = np.bincount(seen.task[seen.status == 200], minlength=len(seen.group))
    assert np.array_equal(good, seen.is_done)
    if played.gate is not None:
        assert played.gate.line_length == 0
        assert played.gate.ledger.n_faults == 0


def test_the_same_seed_gives_the_same_run() -> None:
    """With the real gate, to the last number; another seed does not."""
    first, again, other = (play(small(300), "governor", seed).quantities for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_fresh_tasks_are_those_of_the_sockets() -> None:
    """An agent's first task is due where the load generator's own lane has it."""
    seen = play(small(20), "direct", 3).seen
    due_s = [rng_for(3, 0, agent).expovariate(1.0 / 4.0) for agent in range(20)]
    within = [at_s for at_s in due_s if at_s < seen.seconds]
    assert len(within) > 10
    assert all(np.abs(seen.began_s - at_s).min() < 1e-9 for at_s in within)


def test_the_real_gate_keeps_a_service_from_drowning() -> None:
    """Three times the capacity: with nothing most is wasted, with the gate next to nothing."""
    bare = play(small(900), "direct", 1).quantities
    governed = play(small(900), "governor", 1)
    assert bare["waste_ratio"] > 0.3
    assert governed.quantities["waste_ratio"] < 0.05
    assert governed.quantities["succeeded"] > 1.2 * bare["succeeded"]
    assert governed.limits


def test_who_is_not_governed_goes_past() -> None:
    """The share is exact and spread evenly; with nobody governed the gate sees no call."""
    assert sum(is_governed(n, 0.3) for n in range(100)) == 30
    played = play(small(100), "governor", 1, governed_share=0.0)
    assert played.gate is not None
    assert played.gate.ledger.n_arrived == 0


@pytest.mark.parametrize("name", ["replica", "streams", "fanout-named", "cascade"])
def test_what_is_not_simulated_is_refused(name: str) -> None:
    """Several endpoints or services, streams and fan-outs are the sockets'."""
    with pytest.raises(NotSimulated):
        play(SCENARIOS[name], "direct", 1)


def test_governors_that_share_nothing_each_take_their_agents() -> None:
    """Two gates: half of the agents each, and their limits are added up."""
    one, two = (play(small(60), "governor", 1, n_governors=n) for n in (1, 2))
    assert one.gate is not None
    assert two.gate is not None
    assert two.gate.ledger.n_arrived < 0.8 * one.gate.ledger.n_arrived
    assert two.limits[0][1] == 2 * one.limits[0][1]
    assert two.quantities["unfinished"] == 0.0
