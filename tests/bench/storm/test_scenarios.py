"""Each scenario's own quantities, on runs made by hand; and the definitions as a whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.storm import (
    blip,
    cascade,
    fanout,
    herd,
    noisy,
    organic,
    provider,
    replica,
    stall,
    streams,
)
from bench.storm.base import Scenario
from bench.storm.catalogue import FAMILIES, SCENARIOS, choose, first_of_each
from tests.bench.storm.records import Task, done, job, seen

EVERY = list(SCENARIOS.values())


@pytest.mark.parametrize("scenario", EVERY, ids=lambda scenario: scenario.name)
def test_a_definition_is_consistent(scenario: Scenario) -> None:
    """The groups of the run alone come first, so that they draw the same; names exist."""
    names = [group.name for group in scenario.groups]
    assert tuple(names[: len(scenario.alone)]) == scenario.alone
    assert set(scenario.watched) <= set(names)
    assert scenario.seconds <= 35
    assert any(must.against == "alone" for must in scenario.musts) == bool(scenario.alone)


def test_every_row_of_the_table_is_there() -> None:
    """Ten families, and capacity is not the same everywhere, nor where Governor's limit begins."""
    assert (
        *("stall", "blip", "herd", "fanout", "noisy"),
        *("replica", "cascade", "provider", "streams", "organic"),
    ) == FAMILIES
    slots = {scenario.services[0].told_slots for scenario in EVERY}
    assert len(slots) >= 8
    assert len(first_of_each()) == 10
    assert choose("ramp,fanout")[0].name == "ramp"
    with pytest.raises(SystemExit, match="stall"):
        choose("nothing")


def test_the_stall_knows_when_goodput_is_back() -> None:
    """Goodput at the offered rate from one second after the fault: recovered after 1 s."""
    steady = [done("agents", n / 240.0, 0.0) for n in range(240 * 8)]
    later = [done("agents", 13.0 + n / 240.0, 0.0) for n in range(240 * 19)]
    found = stall.measure(seen(steady + later, seconds=32.0))
    assert found["recovery_s"] == pytest.approx(1.0, abs=0.15)
    assert found["goodput_before_hz"] == pytest.approx(240.0, rel=0.01)
    assert found["goodput_after_hz"] == pytest.approx(240.0 * 19 / 20, rel=0.01)


def test_the_blips_wave_is_what_comes_after_the_stall() -> None:
    """960 calls in a second are twice the capacity; those before the stall's end do not count."""
    before = [done("callers", 5.0 + n / 2000.0, 0.1) for n in range(2000)]
    after = [done("callers", 9.0 + n / 960.0, 0.1) for n in range(960)]
    found = blip.measure(seen(before + after, seconds=15.0))
    assert found["wave_over_capacity"] == pytest.approx(2.0, rel=0.01)


def test_a_herd_is_timed_against_its_work_on_the_slots_left() -> None:
    """Herds of 24 slot-seconds on 24 slots that nobody else uses: 2 s for the worst is twice."""
    first = [done("herd", 4.0, 1.0, 0.1) for _ in range(240)]
    second = [done("herd", 8.0, 2.0, 0.1) for _ in range(240)]
    found = herd.measure(seen([*first, *second], groups=["callers", "herd"]))
    assert found["herd_over_work"] == pytest.approx(2.0)
    assert found["bound_herd_over_work"] == pytest.approx(1.0)


def test_a_herd_with_a_member_lost_is_never_done() -> None:
    """A refusal that ends a task leaves its herd undone."""
    lost = [done("herd", 4.0, 1.0), Task("herd", 4.0, [(4.0, 4.1, 503)])]
    assert herd.measure(seen(lost, groups=["callers", "herd"]))["herd_over_work"] == math.inf


def test_interactive_times_leave_planners_out() -> None:
    """A tree may take its time; the agents beside it may not."""
    tasks = [done("interactive", 5.0, 0.2), done("planners", 5.0, 7.0)]
    assert fanout.measure(seen(tasks))["interactive_p99_s"] == pytest.approx(0.2)


def test_fairness_is_against_what_a_tenant_could_have() -> None:
    """A tenant that gets all it asks for and one that gets the rest are treated alike."""
    shares = noisy.max_min_share(np.array([10.0, 1000.0]), 100.0)
    assert shares.tolist() == [10.0, 90.0]
    assert noisy.jain(np.array([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)
    calm, loud = noisy.VICTIMS[0], noisy.NOISY
    tasks = [done(calm, 3.0, 1.0, 10.0), done(loud, 3.0, 1.0, 1000.0)]
    capacity_s = noisy.N_SLOTS * 18.0
    jobs = [job(0, 3, 3, 4, 10.0), job(1, 3, 3, 4, capacity_s - 10.0)]
    groups = [*noisy.VICTIMS, loud]
    assert noisy.fairness(seen(tasks, {"tool": jobs}, groups=groups)) == pytest.approx(1.0)
    jobs = [job(0, 3, 3, 4, 1.0), job(1, 3, 3, 4, capacity_s - 1.0)]
    assert noisy.fairness(seen(tasks, {"tool": jobs}, groups=groups)) < 0.65


def test_capacity_is_idle_when_slots_are_free() -> None:
    """Sixteen slots busy for half of the time are half busy."""
    tasks = [done(noisy.VICTIMS[0], 3.0, 1.0) for _ in range(16)]
    jobs = [job(n, 2.0, 2.0, 11.0) for n in range(16)]
    groups = [*noisy.VICTIMS, noisy.NOISY]
    found = noisy.measure(seen(tasks, {"tool": jobs}, groups=groups))
    assert found["busy_ratio"] == pytest.approx(0.5)


def test_a_sick_replica_is_judged_after_its_second_of_grace() -> None:
    """What begins within the first second of the fault is forgiven, what is lost is not."""
    tasks = [done("agents", 5.0, 0.2), done("agents", 8.5, 3.0), done("agents", 10.0, 0.4)]
    found = replica.measure(seen(tasks))
    assert found["sick_over_healthy"] == pytest.approx(2.0)
    assert found["lost"] == 0
    assert replica.measure(seen([*tasks, Task("agents", 9.0, [(9, 10, 0)])]))["lost"] == 1


def test_local_goodput_is_kept_only_in_time() -> None:
    """A local reply after more than a second is not kept; calls that need B make the wave."""
    tasks = [done("local", 9.0, 0.1), done("local", 9.0, 1.5), done("needs-b", 9.0, 8.0)]
    tasks += [done("needs-b", 15.0 + n / 400.0, 0.1) for n in range(320)]
    found = cascade.measure(seen(tasks, {"a": [], "b": []}))
    assert found["local_kept"] == pytest.approx(0.5)
    assert found["wave_over_capacity"] == pytest.approx(2.0, rel=0.01)


def test_the_providers_second_wave_is_what_reaches_it() -> None:
    """All back within a second: the peak is far above the mean of the time they take; even: not."""
    tasks = [done("herd", 10.0, 8.0) for _ in range(160)]
    together = {"provider": [job(n, 13.0 + n / 1000, 13.2, 13.5) for n in range(160)]}
    found = provider.measure(seen(tasks, together, groups=["organic", "herd"]))
    assert found["wave_peak_over_mean"] == pytest.approx(5.0)
    even = {"provider": [job(n, 13.0 + n / 32, 13.2, 13.5) for n in range(160)]}
    found = provider.measure(seen(tasks, even, groups=["organic", "herd"]))
    assert found["wave_peak_over_mean"] == pytest.approx(1.0, rel=0.05)


def test_the_providers_goodput_is_over_its_quota() -> None:
    """As many useful calls as tokens until the herd is served: 100 %; a pause of 3 s idles."""
    depth, quota_hz = round(provider.DEPTH), provider.QUOTA_HZ
    tasks = [done("herd", 10.0, 8.0) for _ in range(depth + 240)]
    for pause_s, expected in ((0.0, 1.0), (3.0, 280 / 520)):
        at_s = [10.0] * depth + [10.0 + pause_s + (i + 1) / quota_hz for i in range(240)]
        jobs = {"provider": [job(i, t, t, t + 0.3) for i, t in enumerate(at_s)]}
        found = provider.measure(seen(tasks, jobs, groups=["organic", "herd"]))
        assert found["goodput_over_quota"] == pytest.approx(expected, abs=0.01)


def test_streams_are_judged_by_their_first_byte() -> None:
    """How long a stream then takes is not its time to first byte; the start is left out."""
    tasks = [
        Task("interactive", 18.0, [(18.0, 25.0, 200)], 6.0, first_byte_s=18.7),
        Task("interactive", 1.0, [(1.0, 15.0, 200)], 6.0, first_byte_s=9.0),
        Task("batch", 18.0, [(18.0, -1, -1)], 20.0),
    ]
    found = streams.measure(seen(tasks, {"llm": [job(0, 18.0, 18.2, 25.0, 6.0)]}, seconds=30.0))
    assert found["first_byte_p99_s"] == pytest.approx(0.7)
    assert found["bound_first_byte_p99_s"] == pytest.approx(streams.FIRST_BYTE_S)


def test_the_ramp_leaves_the_first_seconds_out() -> None:
    """Connections open in the first two seconds."""
    found = organic.measure(seen([done("agents", 0.1, 5.0), done("agents", 9.0, 0.3)]))
    assert found["organic_p99_s"] == pytest.approx(0.3)
