"""A gate that rests decides, once it is called, as if every tick had been run."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.rest import LOOK_TICKS, QUIET_NS, TICK_NS, Rota
from governor.record.events import Kind
from policies.decision import Outcome
from policies.hang import MEMORY_S, Hang
from policies.limit.refusals import Refusals
from policies.limit.throughput import Throughput
from tests.record.traffic import MS, Run, make_config

LONGEST_NS = LOOK_TICKS * TICK_NS


class Sparing(Run):
    """Leaves out ticks of gates that rest, but looks at each now and then, as a process does."""

    def __init__(self, seed: int, look_share: float, **upstream: Any) -> None:
        super().__init__(make_config(**upstream), seed, n_records=1 << 14)
        self.look_share = look_share
        self.n_left_out = 0
        self._dice = Random(seed)

    def _leaves_out(self, gate: Gate) -> bool:
        is_due = self._tick_at_ns - gate.ticked_ns >= LONGEST_NS
        is_out = gate.rests and not is_due and self._dice.random() >= self.look_share
        self.n_left_out += is_out
        return is_out

    def visit(self, visits: list[tuple[float, float, float]]) -> None:
        """Let calls come for a while after each pause (s, s, per second); at last look at all."""
        for pause_s, span_s, rate_hz in visits:
            self.now_ns += int(pause_s * 1e9)
            self.play(span_s, rate_hz)
        for gate in self.gates:
            gate.tick(self._tick_at_ns)

    def story(self) -> Any:
        """Return everything that was told and decided, but for the ticks."""
        _, events = self.tap.ring.since(0)
        return events[events["kind"] != Kind.TICK]

    def known(self) -> list[float]:
        """Return what is shown of the gates, as numbers."""
        known: list[float] = []
        for gate in self.gates:
            for endpoint in gate.endpoints:
                explained = endpoint.limit.explain().values()
                known += [float(x) for x in explained if not isinstance(x, str)]
            for kind in gate.shaping.containment.kinds.values():
                known += [kind.rate_hz, kind.hang.usual, kind.hang.told_hz, kind.hang.cap]
            known += [gate.dispatcher.capacity_hz, gate.shaping.herd.bound, gate.outlook.held_hz]
            known += [x.value for x in gate.signals.read()]
        return known


@settings(max_examples=4)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from((0.0, 0.02, 0.3)),
    st.sampled_from(({}, {"limit": 5}, {"acceleration": 4.0}, {"max_waiting": 20})),
    st.lists(
        st.tuples(st.floats(0.0, 12.0), st.floats(0.1, 0.4), st.sampled_from((4.0, 40.0, 150.0))),
        min_size=2,
        max_size=3,
    ),
)
def test_leaving_out_the_ticks_of_a_rest_changes_nothing(
    seed: int, look_share: float, upstream: dict[str, Any], visits: list[tuple[float, float, float]]
) -> None:
    """Every decision, delay and endpoint is the same, and so is what is shown afterwards."""
    every, few = (Sparing(seed, share, **upstream) for share in (1.0, look_share))
    every.visit(visits)
    few.visit(visits)
    assert every.n_left_out == 0
    assert np.array_equal(every.story(), few.story())
    assert few.known() == pytest.approx(every.known(), rel=1e-9, abs=1e-9)
    assert not any(gate.faults.n for run in (every, few) for gate in run.gates)


def settle(run: Sparing, gate: Gate, rate_hz: float = 40.0) -> None:
    """Let calls come for half a second, then none until the gate rests."""
    run.visit([(0.0, 0.5, rate_hz)])
    while not gate.rests:
        run._tick_at_ns += TICK_NS
        gate.tick(run._tick_at_ns)


def test_a_gate_rests_only_after_a_quiet_time_and_wakes_with_a_call() -> None:
    """It rests no sooner than ``QUIET_NS`` after the last call, nor while a call is in flight."""
    run = Sparing(1, 1.0)
    tools, spare = run.gates
    settle(run, spare)
    assert run._tick_at_ns - run.now_ns >= QUIET_NS
    now_ns = run._tick_at_ns + 7 * TICK_NS + MS
    lease = spare.arrive(now_ns, Arrival(tenant=1, flow=1, tree=1)).lease
    assert not spare.rests
    assert spare.ticked_ns == now_ns - MS
    for _ in range(2 * QUIET_NS // TICK_NS):
        now_ns += TICK_NS
        spare.tick(now_ns)
        assert not spare.rests
    spare.depart(now_ns, lease, Outcome.COMPLETED, 200)
    assert tools is not spare


def test_an_invitation_that_is_outstanding_keeps_a_gate_awake() -> None:
    """What ends with time is ended at its time."""
    run = Sparing(2, 1.0)
    spare = run.gates[1]
    settle(run, spare)
    spare.reservations.invite(run._tick_at_ns, 1, 0.0, 0.0, 20_000 * MS)
    spare.tick(run._tick_at_ns + TICK_NS)
    assert not spare.rests


@pytest.mark.interpreted
def test_the_rota_asks_all_that_are_awake_and_every_resting_one_in_its_turn() -> None:
    """Within ``LOOK_TICKS`` ticks every gate has had one; a hundredth of the resting at a time."""

    class Sleeper:
        rests = True

    gates: list[Any] = [Sleeper() for _ in range(250)]
    gates[17].rests = False
    rota = Rota(gates)
    turns = [rota.due() for _ in range(LOOK_TICKS)]
    assert all(17 in turn and len(turn) <= 4 for turn in turns)
    assert set().union(*turns) == set(range(250))


@settings(max_examples=25)
@given(st.integers(2, 200), st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_what_a_kind_usually_holds_fades_at_once_as_by_ticks(
    n: int, usual: float, told_hz: float, variance: float
) -> None:
    """One late tick of a kind without calls does what ``n`` on time would."""
    late, punctual = Hang(), Hang()
    for hang in (late, punctual):
        hang.usual, hang.told_hz, hang._variance, hang._age_s = usual, told_hz, variance, MEMORY_S
    late.tick(0, 0, 0, 0.0, 0, 0.0, 0.05 * n)
    for _ in range(n):
        punctual.tick(0, 0, 0, 0.0, 0, 0.0, 0.05)
    for name in ("usual", "told_hz", "_variance", "_age_s"):
        assert getattr(late, name) == pytest.approx(getattr(punctual, name), rel=1e-9, abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 3), st.integers(1, 200))
def test_steps_and_periods_of_a_silence_end_as_if_ticks_were_on_time(n_before: int, n: int) -> None:
    """After a late tick the next step of 0.2 s ends when it would have."""
    late, punctual = (Throughput(), Refusals()), (Throughput(), Refusals())
    late[0].n_departed = punctual[0].n_departed = 5
    for tick in range(8 + n_before):
        for throughput, refusals in (late, punctual):
            throughput.advance(tick * TICK_NS, False)
            refusals.tick(tick * TICK_NS, 0, 0)
    for tick in range(8 + n_before, 8 + n_before + n):
        punctual[0].advance(tick * TICK_NS, False)
        punctual[1].tick(tick * TICK_NS, 0, 0)
    late[0].advance(tick * TICK_NS, False)
    late[1].tick(tick * TICK_NS, 0, 0)
    assert late[0]._step_at_ns == punctual[0]._step_at_ns
    assert late[1]._weighed_at_ns == punctual[1]._weighed_at_ns
    assert late[0].rate_hz == pytest.approx(punctual[0].rate_hz, rel=1e-9, abs=1e-12)
    assert late[0].best_hz == pytest.approx(punctual[0].best_hz, rel=1e-9)
