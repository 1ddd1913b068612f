"""Profiles and envelopes on a made-up time axis: what is read, what deviates, what follows."""

from __future__ import annotations

from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.profiles import N_FLOWS_A_TICK
from governor.core.registry import GRACE_S, N_EVENTS, Learning, Registry, Rule
from policies.decision import Outcome
from policies.envelope import N_BEGIN, N_END, Envelope, Measure
from signals import Shared
from tests.core.test_gate import MS, S, make_gate


class World:
    """A gate with a registry, and a clock that is told."""

    def __init__(self, *rules: Rule, **options: Any) -> None:
        self.gate: Gate = make_gate(limit=1_000)
        self.registry = Registry(self.gate.identities, Shared(64, 64, 64), rules, **options)
        self.gate.identities.flows.on_handover = self.registry.forget
        self.now_ns = 0
        self.open: list[Any] = []

    def run(self, seconds: int, rate_hz: int = 0, flow: int = 3, attempt: int = 0) -> None:
        """Let a flow call ``rate_hz`` times a second, evenly, answered within 10 ms."""
        for _ in range(seconds):
            for idx in range(20):
                self.now_ns += 50 * MS
                if rate_hz and idx % max(1, 20 // rate_hz) == 0:
                    for _ in range(max(1, rate_hz // 20)):
                        arrival = Arrival(flow=flow, attempt=attempt)
                        lease = self.gate.arrive(self.now_ns, arrival).lease
                        if lease.state == 1:
                            self.gate.depart(self.now_ns + 10 * MS, lease, Outcome.COMPLETED, 200)
                self.registry.tick(self.now_ns)

    def kinds(self) -> list[str]:
        """Return the kinds of all events."""
        return [event.kind for event in self.registry.events]


def test_a_profile_is_what_the_counters_say() -> None:
    """Rate, retries and rhythm of an even caller; who never called has none."""
    world = World()
    world.run(120, rate_hz=4)
    profiles = world.registry.profiles
    assert profiles.measures[3, Measure.RATE] == pytest.approx(4.0, rel=0.05)
    assert profiles.measures[3, Measure.RETRIES] == 0.0
    assert world.gate.identities.flows.n_calls[3] == 480
    steadiness = profiles.dispersion(3)
    assert steadiness is not None
    assert steadiness < 0.5
    assert profiles.first_seen_ns[3] > 0
    assert (profiles.first_seen_ns[4], profiles.dispersion(4)) == (0, None)
    world.run(60, rate_hz=4, attempt=1)
    assert 0.5 < profiles.measures[3, Measure.RETRIES] < 0.7


def test_a_number_handed_over_begins_anew() -> None:
    """Nothing of one caller is believed of the next."""
    world = World(default=Rule("", Envelope(rate_hz=2.0)))
    world.run(60, rate_hz=10)
    registry = world.registry
    assert registry.deviates[3, Measure.RATE]
    registry.forget(3)
    assert not registry.deviates[3].any()
    assert registry.profiles.calls[3] == registry.profiles.first_seen_ns[3] == 0
    assert not registry.profiles.measures[3].any()


def test_a_deviation_begins_ends_and_is_told_of_once() -> None:
    """An event each, with the value and the limit; nothing is done about it."""
    world = World(default=Rule("", Envelope(rate_hz=2.0)))
    world.run(60, rate_hz=10)
    [event] = world.registry.events
    assert (event.kind, event.measure, event.limit) == ("deviation_began", "rate", 2.0)
    assert event.value > 2.0
    world.run(30 + N_END, rate_hz=1)
    assert world.kinds() == ["deviation_began", "deviation_ended"]
    assert world.registry.restraints == {}


def test_a_declared_agent_is_held_or_quarantined_and_others_are_not() -> None:
    """The rule's own act, once, until a person releases; the default only tells."""
    rules = (Rule("planner", Envelope(in_flight=2.0, rate_hz=2.0), "hold"),)
    world = World(*rules, default=Rule("", Envelope(rate_hz=2.0)))
    world.registry.rule_of[3] = 1
    world.run(30, rate_hz=10)
    world.run(30, rate_hz=10, flow=4)
    assert list(world.registry.restraints) == [3]
    assert world.registry.restraints[3].cap == 2
    held = [event for event in world.registry.events if event.kind == "held"]
    assert [(event.agent, event.by, event.why) for event in held] == [
        ("planner", "envelope", "rate")
    ]


def test_who_is_released_is_given_time() -> None:
    """The same deviation counts again after the grace, not at once, if it goes on."""
    world = World(default=Rule("", Envelope(rate_hz=2.0), "quarantine"))
    world.run(30, rate_hz=10)
    assert world.registry.release(world.now_ns, 3, "token-1", "looked at")
    world.run(GRACE_S, rate_hz=10)
    assert world.kinds().count("quarantined") == 1
    world.run(2 * N_BEGIN, rate_hz=10)
    assert world.kinds().count("quarantined") == 2


def test_a_learned_envelope_lets_work_grow_and_not_leap() -> None:
    """Nothing is limited before the past is long enough; then a leap is told of."""
    world = World(learning=Learning(300 * S, 3.0))
    world.run(299, rate_hz=2)
    assert not world.registry.limits_of(3)[1]
    world.run(60, rate_hz=2)
    limits, is_learned = world.registry.limits_of(3)
    assert is_learned
    assert limits[Measure.RATE] == pytest.approx(6.0, rel=0.1)
    world.run(60, rate_hz=4)
    assert world.kinds() == []
    world.run(30, rate_hz=60)
    assert world.kinds() == ["deviation_began"]


def test_a_clock_that_jumps_back_or_stands_still_breaks_nothing() -> None:
    """Readings go on from there; nothing deviates by it."""
    world = World(default=Rule("", Envelope(rate_hz=5.0)))
    world.run(20, rate_hz=4)
    world.now_ns -= 10 * S
    for _ in range(50):
        world.registry.tick(world.now_ns)
    world.run(20, rate_hz=4)
    assert world.kinds() == []
    assert world.registry.profiles.measures[3, Measure.RATE] == pytest.approx(4.0, rel=0.2)


def test_events_are_bounded() -> None:
    """The oldest makes room; how many there were is known."""
    world = World()
    for _ in range(N_EVENTS):
        world.registry.restrain(0, 3, 1, "token-1", "")
        world.registry.release(0, 3, "token-1", "")
    assert len(world.registry.events) == N_EVENTS
    assert world.registry.n_events == 2 * N_EVENTS


def test_the_shared_overflow_entry_is_nobody() -> None:
    """It has no envelope and cannot be restrained: it stands for many."""
    world = World(default=Rule("", Envelope(rate_hz=1.0), "quarantine"))
    world.run(60, rate_hz=10, flow=0)
    assert world.kinds() == []
    assert not world.registry.restrain(0, 0, 0, "token-1", "")


def test_a_full_table_is_read_within_a_second() -> None:
    """In slices, one a tick: no tick reads more than its share."""
    assert 65_536 / N_FLOWS_A_TICK < 20
