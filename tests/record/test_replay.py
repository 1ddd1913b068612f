"""Replay: the same events through new gates give the same decisions, or it is told where not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from governor.core.arrival import Arrival
from governor.core.lease import LeaseState, make_lease
from governor.record.configuration import pack_config, unpack_config
from governor.record.events import REASONS, Kind
from governor.record.replay import Replayed, replay
from governor.record.store import Recording, encode_blocks, encode_header, read
from governor.runtime import Runtime
from policies.decision import Outcome
from tests.faults.world import World, get_once
from tests.proxy.rig import Peer
from tests.record.life import Life, play_life
from tests.record.traffic import MS, Run, make_config


def record(run: Run | Life, path: Path) -> Recording:
    """Return what a file holds that a run was written to."""
    first, events = run.tap.ring.since(0)
    packed = pack_config(run.runtime.config)
    path.write_bytes(encode_header(packed, 7, 0, 0, first) + b"".join(encode_blocks(first, events)))
    return read(path)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A run with a storm in it, in a file."""
    run = Run(make_config())
    run.play(12.0, 250.0)
    assert run.tap.n_faults == 0
    return record(run, tmp_path_factory.mktemp("rec") / "a.rec")


def test_a_run_with_a_storm_replays_exactly(recording: Recording) -> None:
    """Same configuration, same events: every action, reason, delay and endpoint is the same."""
    again = Runtime(unpack_config(recording.header["config"]))
    found = replay(recording, list(again.gates.values()), again.identities)
    assert recording.is_whole
    assert found.differences == ()
    assert (found.n_different, found.n_faults) == (0, 0)
    reasons = {REASONS[reason] for _, reason in found.replayed}
    assert {"untouched", "exempt", "over_limit", "capacity_freed", "absorbed"} <= reasons
    kinds = set(recording.events["kind"].tolist())
    elsewhere = {Kind.MEMBER, Kind.HANDOVER, Kind.SWITCH, Kind.RESTRAIN, Kind.RELEASE, Kind.LATE}
    assert set(Kind) - elsewhere <= kinds


def test_another_configuration_is_told_apart(recording: Recording) -> None:
    """Gates with another limit decide otherwise, and each difference is counted."""
    packed = recording.header["config"]
    other = unpack_config(
        {**packed, "upstreams": {k: {**v, "limit": 3} for k, v in packed["upstreams"].items()}}
    )
    again = Runtime(other)
    found = replay(recording, list(again.gates.values()), again.identities)
    assert found.n_different > 100
    assert len(found.differences) == 20


def replay_anew(recording: Recording) -> Replayed:
    """Return what new gates of the recorded configuration make of it."""
    again = Runtime(unpack_config(recording.header["config"]))
    return replay(recording, list(again.gates.values()), again.identities)


def test_what_people_routes_and_other_gates_do_replays_exactly(tmp_path: Path) -> None:
    """Switches thrown, a route's own terms, a doomed tree, a quota, a hung kind, restraints."""
    life = play_life()
    assert life.tap.n_faults == 0
    wanted = {"observed", "doomed", "over_quota", "contained", "capped", "quarantined"}
    assert wanted | {"patience_spent"} <= life.seen
    recording = record(life, tmp_path / "a.rec")
    assert {Kind.SWITCH, Kind.RESTRAIN, Kind.RELEASE} <= set(recording.events["kind"].tolist())
    arrivals = recording.events[recording.events["kind"] == Kind.ARRIVE]
    for name in ("source", "max_wait_ns", "switches"):
        assert len(set(arrivals[name].tolist())) > 1
    found = replay_anew(recording)
    assert found.differences == ()
    assert (found.n_different, found.n_faults) == (0, 0)
    assert wanted <= {REASONS[reason] for _, reason in found.replayed}


@pytest.mark.parametrize("left_out", [Kind.SWITCH, Kind.RESTRAIN, Kind.HANDOVER])
def test_without_one_kind_of_input_it_differs(left_out: Kind, tmp_path: Path) -> None:
    """Each of them decides: what is left out is told as a difference, and not passed over."""
    if left_out is Kind.HANDOVER:
        recording = record(play_handover(), tmp_path / "a.rec")
    else:
        recording = record(play_life(), tmp_path / "a.rec")
    kept = recording.events[recording.events["kind"] != left_out]
    assert len(kept) < len(recording.events)
    assert replay_anew(recording).n_different == 0
    assert replay_anew(recording._replace(events=kept)).n_different > 0


def play_handover() -> Life:
    """Return a life in which a place of a full table is handed on, and then ranks its caller."""
    life = Life()
    flows = life.runtime.identities.flows
    flows.capacity = 4
    gate = life.gates["deep"]

    def ask(at_s: float, who: str, took_s: float) -> None:
        life.at(at_s, lambda: life.call("deep", who, took_s, tree=ord(who)))

    ask(0.0, "a", 3.0)  # three callers of one tenant; a has had the most by far
    ask(4.0, "f", 0.5)
    ask(5.0, "k", 0.5)
    for who in ("k", "f", "p"):  # later p takes the place of a, and goes before who was there
        ask(70.0, who, 0.2)
    life.at(80.0, lambda: None)
    life.run()
    assert gate.in_flight == 0
    return life


def test_a_caller_that_shares_a_call_is_in_the_recording(tmp_path: Path) -> None:
    """The gate never saw it arrive; its slot is given and replayed all the same."""
    life = Life()
    gate = life.gates["tools"]
    for number in range(400):  # refusals enough to be a storm of them

        def refuse(number: int = number) -> None:
            lease = life.call("tools", f"agent-{number % 40}")
            if lease.state is not LeaseState.OPEN:
                return
            gate.refused.note(life.now_ns)
            gate.refused.answer(life.now_ns, lease, 429, 200 * MS)
            member = make_lease(Arrival(1, 2, 0, is_identified=True), life.now_ns, 0)
            gate.refused.answer(life.now_ns, member, 429, 200 * MS)
            life._apply(gate, gate.depart(life.now_ns, lease, Outcome.REFUSED, 429))

        life.at(number * 0.01, refuse)
    life.run()
    recording = record(life, tmp_path / "a.rec")
    members = recording.events[recording.events["kind"] == Kind.MEMBER]["number"]
    slots = recording.events[recording.events["kind"] == Kind.SLOT]
    given = slots[(slots["action"] == 1) & np.isin(slots["number"], members)]
    assert len(given) > 10
    found = replay_anew(recording)
    assert (found.differences, found.n_faults) == ((), 0)


async def test_what_was_decided_live_replays_event_by_event(tmp_path: Path) -> None:
    """Through sockets: one place, a short line, more callers than fit, one that leaves."""
    path = tmp_path / "a.rec"

    async def handle(peer: Peer) -> None:
        await peer.answer()
        await asyncio.sleep(0.01)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    recorder = {"mode": "continuous", "file": str(path)}
    upstream = {"limit": 1, "max_waiting": 4}
    async with World(handle, recorder=recorder, upstream=upstream) as world:
        first = asyncio.ensure_future(world.ask(get_once(b"/x")))
        await asyncio.sleep(0)
        leaver = await world.send(get_once(b"/x"))
        asked = (world.ask(get_once(b"/x", b"X-Claude-Code-Session-Id: %d" % n)) for n in range(9))
        rest = asyncio.gather(*asked)
        await asyncio.sleep(0.005)
        leaver.close()
        answers = [await first, *await rest]
        assert world.runtime.recorder is not None
        await world.runtime.recorder.dump()
    recording = read(path)
    found = replay_anew(recording)
    assert recording.is_whole
    assert (found.differences, found.n_different, found.n_faults) == ((), 0, 0)
    n_served = sum(b" 200 " in answer for answer in answers)
    reasons = {REASONS[reason]: n for (_, reason), n in found.replayed.items()}
    assert reasons["over_limit"] >= reasons["capacity_freed"] > 1
    assert reasons["line_full"] == len(answers) - n_served > 0
