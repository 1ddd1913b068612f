"""The closed loop keeps its books, its laws and its word: one seed, one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.detect.callers import BACKOFF_S, FAMILY_OF_LAW, MIX, Fleet
from bench.detect.service import FAULTS, SERVICE_S, Beside, Overlay, World
from bench.detect.simulation import ANSWERED, FAILED, GONE, TICK_S, WIRE_S, Simulation
from bench.detect.traces import Trace
from governor.load.laws import LAWS


class Ledger:
    """A bank that writes down what it is told and refuses nonsense."""

    def __init__(self) -> None:
        self.open: dict[int, tuple[Any, ...]] = {}
        self.left: set[int] = set()
        self.arrived: list[tuple[Any, ...]] = []
        self.ended: list[tuple[int, int, int]] = []
        self.ticks: list[int] = []
        self.now_ns = 0

    def pass_time(self, now_ns: int) -> None:
        """Time never runs back."""
        assert now_ns >= self.now_ns
        self.now_ns = now_ns

    def observe_arrival(self, now_ns: int, *shape: Any) -> int:
        """Open a call."""
        self.pass_time(now_ns)
        self.arrived.append((now_ns, *shape))
        self.open[len(self.arrived)] = shape
        return len(self.arrived)

    def observe_leave(self, now_ns: int, call: int) -> None:
        """Only an open call's caller leaves, and once."""
        self.pass_time(now_ns)
        assert call in self.open
        assert call not in self.left
        self.left.add(call)

    def observe_end(self, now_ns: int, call: int, how: int, retry_after_ns: int = 0) -> None:
        """Only an open call ends, and once."""
        self.pass_time(now_ns)
        del self.open[call]
        assert (how == GONE) == (call in self.left)
        self.ended.append((now_ns, call, how))

    def tick(self, now_ns: int) -> None:
        """Time passes."""
        self.pass_time(now_ns)
        self.ticks.append(now_ns)


def small(fault: str, law: str = "openai", **fleet: Any) -> World:
    """Return a short run of a small fleet."""
    patience_s = 2.0 if fault == "stall" else float("inf")
    return World(
        Fleet(**{"n": 200, "law": law, "patience_s": patience_s, **fleet}),
        load=0.8,
        fault=FAULTS[fault],
        fault_s=10.0,
        end_s=20.0,
    )


def play(world: World, seed: int = 1) -> tuple[Ledger, Simulation]:
    """Run a world into a ledger."""
    ledger = Ledger()
    simulation = Simulation(world, [ledger], seed)
    simulation.run()
    return ledger, simulation


@pytest.mark.parametrize("fault", ["none", "crash", "refuse", "stall"])
def test_every_arrival_ends_once_or_is_still_open(fault: str) -> None:
    """The ledger checks each event; in the end arrivals are ends and what is open."""
    ledger, simulation = play(small(fault))
    assert len(ledger.arrived) == len(ledger.ended) + len(ledger.open)
    in_service = len(simulation.working) + len(simulation.line)
    assert in_service <= len(ledger.open) <= in_service + 5  # refusals on their way
    truth = simulation.truth
    assert len(truth.arrival_rows) == len(ledger.arrived)
    assert len(truth.end_rows) == len(ledger.ended)
    assert len(truth.leave_rows) == len(ledger.left)
    assert len(ledger.ticks) == len(truth.tick_rows) == pytest.approx(20.0 / TICK_S, abs=1)


@pytest.mark.parametrize("fault", ["crash", "refuse", "stall"])
def test_one_seed_is_one_run_and_another_is_another(fault: str) -> None:
    """Everything comes from the seed."""
    first, second, other = (play(small(fault), seed)[0] for seed in (3, 3, 4))
    assert first.arrived == second.arrived
    assert first.ended == second.ended
    assert first.arrived != other.arrived


def test_one_seed_is_one_past_whatever_the_fault_and_the_law() -> None:
    """Runs with one seed are the same until the fault begins."""

    def past(world: World) -> list[tuple[int, int]]:
        return [(row[0], row[2]) for row in play(world)[0].arrived if row[0] < 10_000_000_000]

    expected = past(small("none"))
    assert len(expected) > 100
    assert past(small("crash", "vercel")) == expected
    assert past(small("refuse", "codex")) == expected
    assert past(small("stall", "mix")) == expected


@pytest.mark.parametrize("law", ["openai", "codex", "vercel", "boto3", "gemini-cli", "urllib3"])
@pytest.mark.parametrize("fault", ["crash", "refuse", "stall"])
def test_retries_obey_their_law(law: str, fault: str) -> None:
    """No caller has two calls, exceeds its retries, or comes back outside its first band."""
    world = small(fault, law)
    ledger, simulation = play(world)
    low_s, high_s = BACKOFF_S[law]
    failed_s: dict[int, float] = {}
    attempt_of: dict[int, int] = {}
    events = [(t, 1, caller, attempt) for t, caller, attempt in simulation.truth.arrival_rows]
    events += [(t, 0, caller, how) for t, caller, how in simulation.truth.end_rows if how == FAILED]
    events += [(t, 0, caller, FAILED) for t, caller in simulation.truth.leave_rows]
    n_first = 0
    for t_s, kind, caller, value in sorted(events):
        if kind == 0:
            failed_s[caller] = t_s
            continue
        assert value in (0, attempt_of.get(caller, 0) + 1)
        assert value <= LAWS[law].max_retries
        attempt_of[caller] = value
        if value == 1:
            n_first += 1
            lag_s = t_s - failed_s[caller]
            assert max(WIRE_S, low_s) - 1e-9 <= lag_s <= max(WIRE_S, high_s) + 1e-9
    gives_up = law == "urllib3" and fault == "refuse"  # 503 without Retry-After
    assert (n_first == 0) == gives_up
    flows = [row[2] for row in ledger.arrived]
    assert min(flows) >= 1
    assert max(flows) <= 200


def test_a_hint_is_obeyed_and_told() -> None:
    """A refusal with Retry-After brings the OpenAI SDK back exactly then."""
    world = small("refuse")
    world = world._replace(fault=world.fault._replace(retry_after_s=1.5))
    _, simulation = play(world)
    t_s, caller, attempt = simulation.truth.arrivals()
    end_s, who, how = simulation.truth.ends()
    for at_s, name in zip(t_s[attempt == 1][:20], caller[attempt == 1][:20], strict=True):
        last_s = end_s[(who == name) & (how == FAILED) & (end_s < at_s)][-1]
        assert at_s - last_s == pytest.approx(1.5)


def test_a_stall_makes_callers_leave_and_orphans_are_finished() -> None:
    """At a tenth of the speed callers leave after two seconds; their work goes on."""
    ledger, simulation = play(small("stall"))
    left_s = [t for t, _ in simulation.truth.leave_rows]
    assert min(left_s) > 10.0
    assert sum(how == GONE for _, _, how in ledger.ended) > 0
    rows = simulation.truth.ticks()
    is_stall = (rows[:, 0] > 10.0) & (rows[:, 0] < 14.0)
    assert np.all(rows[is_stall, 3] == pytest.approx(0.1 * simulation.capacity_hz))
    done_s = np.array(simulation.truth.completions_s)
    in_stall = ((done_s > 11.0) & (done_s < 14.0)).sum() / 3.0
    assert in_stall < 0.3 * simulation.capacity_hz


def test_a_crash_breaks_all_at_once_then_refuses() -> None:
    """Everything in flight fails in one instant; nothing is finished for two seconds."""
    ledger, simulation = play(small("crash", n=2000))
    broken = [t for t, _, how in ledger.ended if how == FAILED and t == 10_000_000_000]
    assert len(broken) >= 0.4 * simulation.slots
    done_s = np.array(simulation.truth.completions_s)
    assert not ((done_s > 10.0) & (done_s < 12.0)).any()
    assert ((done_s > 12.3) & (done_s < 14.0)).any()


def test_a_calm_service_is_as_busy_as_its_load_says() -> None:
    """Little: mean calls worked on are slots times load; hardly anybody waits."""
    world = World(Fleet(2000), load=0.8, end_s=60.0)
    _, simulation = play(world)
    rows = simulation.truth.ticks()[200:]
    assert rows[:, 2].mean() == pytest.approx(0.8 * world.slots, rel=0.1)
    assert world.capacity_hz == pytest.approx(world.slots / SERVICE_S)


def test_headers_say_what_the_fleet_lets_them() -> None:
    """Identity, family, patience and attempts appear only where they are told."""
    told, _ = play(small("stall", is_marked=True, tells_patience=True))
    _, tenant, flow, tree, _, _, family, is_known, patience_ns = told.arrived[0]
    assert 1 <= tenant <= 8
    assert flow == tree > 0
    assert (family, is_known, patience_ns) == (FAMILY_OF_LAW["openai"], True, 2_000_000_000)
    assert max(row[5] for row in told.arrived) >= 1
    hushed, _ = play(small("stall", is_identified=False, tells_family=False))
    assert {(*row[1:4], *row[5:]) for row in hushed.arrived} == {(0, 0, 0, -1, 0, False, 0)}


def test_shapes_are_new_for_each_task_unless_said_otherwise() -> None:
    """A retry repeats its task's shape; tasks repeat the last one's with the chance given."""
    ledger, _ = play(small("none"))
    shapes = [(row[2], row[4]) for row in ledger.arrived]
    assert len(set(shapes)) == len(shapes)
    same, _ = play(small("none", repeat_share=1.0))
    assert len({(row[2], row[4]) for row in same.arrived}) == len({row[2] for row in same.arrived})


def test_a_mix_has_every_law_in_equal_parts() -> None:
    """Callers take the mix's laws in turn."""
    fleet = Fleet(10, "mix")
    assert [fleet.law_of(k).name for k in range(10)] == [*MIX, *MIX]


def recording(n: int = 400) -> Trace:
    """Return a made-up recording: 20 calls a second of five callers."""
    flow = np.arange(n) % 5 + 1
    return Trace(
        name="made up",
        t_s=np.arange(n) / 20.0,
        flow=flow,
        tree=flow,
        fingerprint=np.arange(n),
        latency_s=np.full(n, 0.5),
        status=np.full(n, 200),
        target=np.zeros(n, np.int64),
    )


def test_recorded_calls_pass_through_the_service_and_beside_it() -> None:
    """An overlay suffers the fault but never calls again; another upstream only answers."""
    world = small("crash")._replace(
        overlay=Overlay(recording()), beside=(Beside(recording(), 1, speed=2.0),)
    )
    banks = [Ledger(), Ledger()]
    simulation = Simulation(world, banks, 1)
    truth = simulation.run()
    _, caller, attempt = truth.arrivals()
    assert (caller == -1).sum() == pytest.approx(400, abs=1)
    assert (attempt[caller == -1] == 0).all()
    _, who, how = truth.ends()
    assert (how[who == -1] == FAILED).sum() > 20
    assert {how for _, _, how in banks[1].ended} == {ANSWERED}
    assert len(banks[1].arrived) == 400  # twice as fast: over after ten seconds
    flows = {row[2] for row in banks[1].arrived}
    assert min(flows) > world.fleet.n
    assert max(flows) < world.n_flows
    assert world.slots > world._replace(overlay=None).slots


def test_a_trace_can_be_cut_sped_up_and_renamed() -> None:
    """Reshaping keeps the number of calls and the order of time."""
    trace = recording()
    assert len(trace.between(5.0, 10.0)) == 100
    assert trace.between(5.0, 10.0).t_s[0] == 0.0
    assert trace.at_speed(10.0).rate_hz == pytest.approx(10.0 * trace.rate_hz)
    assert not trace.with_identity("none").has_ids
    assert len(np.unique(trace.with_identity("own").flow)) == len(trace)
    assert set(trace.with_identity("8").flow) <= set(range(1, 9))
    assert trace.with_identity("ids") is trace
    assert replace(trace, name="x").hours == trace.hours
