"""What several workers brought before the gates replays as what one brought."""

from __future__ import annotations

from random import Random

import pytest

from governor.core.identity import Identities
from governor.record.events import BOOKED, Kind
from governor.record.replay import Player, make_room
from governor.record.ring import Ring
from governor.record.tap import Tap
from governor.workers.board import Life, WorkerWord
from policies.decision import Outcome
from tests.workers.rig import MS, Fleet, Request, arrival
from tests.workers.test_same_as_one import make_gates


@pytest.mark.parametrize("kind", ["fixed", "spread"])
def test_a_run_of_three_workers_replays_exactly(kind: str) -> None:
    """Calls that were booked, calls that were asked for, and those that a dead worker lost."""
    rng = Random(5)
    identities = Identities(64, 64, 64)
    gates = make_gates(identities, kind)
    tap = Tap(Ring(1 << 15))
    tap.attach(gates, identities)
    fleet = Fleet(3, gates, identities)
    requests: list[Request] = []
    for step in range(1_500):
        fleet.now_ns += rng.randrange(4) * MS
        if step % 15 == 0:
            fleet.host.tick(fleet.now_ns)
        held = [x for x in requests if x.is_open]
        if rng.random() < 0.5 or not held:
            who = rng.randrange(30)
            request = Request(fleet.remote[rng.randrange(3)][0], step)
            requests.append(request.start(fleet.now_ns, arrival(who, attempt=who % 4 - 1)))
        else:
            status = rng.choice([200, 200, 200, 500])
            outcome = Outcome.COMPLETED if status == 200 else Outcome.FAILED
            rng.choice(held).depart(fleet.now_ns, outcome, status)
        if rng.random() < 0.7:
            fleet.turn()
        if step in (500, 900):
            row = step % 3
            for request in requests:
                if request.gate in fleet.remote[row]:
                    request.lease = None
            fleet.turn()
            fleet.board.workers[row][WorkerWord.LIFE] = Life.DEAD
            fleet.host.tick(fleet.now_ns)
            fleet.hire(row)
    fleet.turn()
    fleet.close()
    _, events = tap.ring.since(0)
    is_arrival = events["kind"] == Kind.ARRIVE
    n_booked = int((events["status"][is_arrival] == BOOKED).sum())
    assert (0 < n_booked < is_arrival.sum()) == (kind == "fixed")
    again = Identities(64, 64, 64)
    played = Player(make_gates(again, kind), again)
    make_room(again, events)
    found = played.play(events)
    assert (found.n_different, found.n_faults, tap.n_faults) == (0, 0, 0)
    assert found.n_arrivals == is_arrival.sum()
    if kind == "fixed":
        assert (events["action"][events["kind"] == Kind.LEAVE] == 1).any()
