"""A frame: everything in it, bounded in bytes whatever the process serves."""

from __future__ import annotations

import orjson

from governor.control.dashboard.hub import BEAT_S, BYTES_PER_S
from governor.control.dashboard.rows import COLUMNS
from governor.control.dashboard.snapshot import HISTORY_NUMBERS, Snapshots
from governor.core.gate import Gate
from policies.limit import FixedLimit
from signals import Shared, SignalBank
from tests.control.stub import StubRuntime

NS = 1_000_000_000


def make_runtime(n_upstreams: int) -> StubRuntime:
    """Return a runtime with many upstreams, all of one process."""
    runtime = StubRuntime()
    shared = Shared(1_024)
    runtime.gates = {
        f"upstream-{n:02d}": Gate(
            f"upstream-{n:02d}",
            [FixedLimit(1)],
            SignalBank(64, shared, n),
            runtime.identities,
            max_waiting=1,
            log=runtime.decision_log,
        )
        for n in range(n_upstreams)
    }
    return runtime


def test_a_frame_holds_the_decisions_since_the_one_before() -> None:
    """Each decision is told once, in words, as JSON that orjson takes as it is."""
    runtime = StubRuntime()
    snapshots = Snapshots(runtime, 0, NS)
    runtime.intervene(3)
    frame = snapshots.beat(NS, 2 * NS, 0.5)
    page = orjson.loads(orjson.dumps(frame))
    assert page["decisions"]["n"] == 4
    kinds = {said[1]: said[3] for said in page["decisions"]["said"]}
    assert kinds == {"away": 3, "went": 1}
    assert page["who"]["table"] == "flow"
    assert page["who"]["top"]
    assert snapshots.beat(2 * NS, 3 * NS, 0.5)["decisions"] == {"n": 0, "said": []}


def test_who_comes_late_is_told_what_was_decided_before() -> None:
    """The first viewer hears of the ring's decisions, the next of all sentences since."""
    runtime = StubRuntime()
    runtime.intervene(3)
    snapshots = Snapshots(runtime, 0, NS)
    assert sorted(said[3] for said in snapshots.hello()["said"]) == [1, 3]
    runtime.intervene(1)
    snapshots.beat(NS, 2 * NS, 0.5)
    assert len(orjson.loads(orjson.dumps(snapshots.hello()))["said"]) == 4


def test_the_tables_of_callers_take_turns() -> None:
    """Flows, tenants and trees, every third frame, and then from the start again."""
    snapshots = Snapshots(StubRuntime(), 0, 0)
    frames = [snapshots.beat(n * NS, n * NS, 0.5) for n in range(1, 13)]
    seen = [frame["who"]["table"] for frame in frames if "who" in frame]
    assert seen == ["flow", "tenant", "tree", "flow"]


def test_fifty_upstreams_fit_the_bytes_a_second() -> None:
    """A frame of fifty stays below what a viewer is sent in one beat."""
    runtime = make_runtime(50)
    snapshots = Snapshots(runtime, 0, 0)
    sizes = [len(orjson.dumps(snapshots.beat(n * NS, n * NS, 0.5))) for n in range(1, 4)]
    assert max(sizes) < BYTES_PER_S * BEAT_S
    assert set(snapshots.beat(4 * NS, 4 * NS, 0.5)["words"]) == {"upstream-06", "upstream-07"}


def test_a_new_viewer_is_sent_a_bounded_past() -> None:
    """History is numbers up to a bound over all upstreams, the latest of them."""
    runtime = make_runtime(50)
    snapshots = Snapshots(runtime, 0, 0)
    for n in range(1, 61):
        snapshots.beat(n * NS, n * NS, 0.5)
    history = snapshots.hello()["history"]
    assert history[-1][0] == 60.0
    assert len(history) < 60
    assert len(history) * 50 * len(COLUMNS) <= HISTORY_NUMBERS


def test_no_upstream_at_all() -> None:
    """An empty process has empty frames and no fault."""
    runtime = make_runtime(0)
    frame = Snapshots(runtime, 0, 0).beat(NS, NS, 0.5)
    assert (frame["rows"], frame["words"]) == ([], {})
    assert frame["fanout"] == {"live": 0, "trees": 0, "latest": []}
