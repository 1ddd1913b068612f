"""Whatever happens in whatever order, workers and keeper agree on what is in flight."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from governor.core.identity import Identities
from governor.workers.board import KeeperWord
from governor.workers.host import Host
from policies.decision import Outcome
from tests.workers.rig import MS, Fleet, Request, S, ask, make_gate

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["arrive"] * 4 + ["depart"] * 3 + ["leave", "host", "links", "tick", "kill", "keeper"]
        ),
        st.integers(0, 9),
        st.integers(0, 40),
    ),
    max_size=120,
)


@settings(max_examples=60)
@given(n_workers=st.integers(1, 4), limit=st.integers(1, 9), steps=STEPS)
def test_whatever_happens_in_whatever_order_the_books_are_right(
    n_workers: int, limit: int, steps: list[tuple[str, int, int]]
) -> None:
    """One outcome each; in flight is what workers hold, within the limit; nothing is negative."""
    identities = Identities(64, 64, 64)
    fleet = Fleet(n_workers, (make_gate(limit, identities),), identities)
    requests: list[tuple[int, Request]] = []
    most = limit
    for what, pick, wait_ms in steps:
        fleet.now_ns += wait_ms * MS
        row = pick % n_workers
        alive = [x for x in requests if x[1].lease is not None]
        chosen = alive[pick % len(alive)][1] if alive else None
        if what == "arrive":
            requests.append((row, ask(fleet, row, pick)))
        elif what == "depart" and chosen is not None and chosen.is_open:
            chosen.depart(fleet.now_ns, Outcome.COMPLETED, 200)
        elif what == "leave" and chosen is not None and chosen.lease is not None:
            chosen.leave(fleet.now_ns)
        elif what == "host":
            fleet.host.drain(pick)
        elif what == "links":
            fleet.links[row].receive()
        elif what == "tick":
            fleet.host.drain()
            fleet.host.tick(fleet.now_ns)
        elif what == "kill":
            for at, request in requests:
                if at == row:
                    request.lease = None
            fleet.hire(row)
        elif what == "keeper":
            identities = Identities(64, 64, 64)
            fleet.gates = (make_gate(limit, identities),)
            fleet.board.keeper[KeeperWord.EPOCH] += 1
            fleet.host = Host(fleet.board, fleet.gates, identities)
            most = 99  # until it has heard of what is open
        assert all(row[0] >= 0 for row in fleet.board.opens)
        assert fleet.gates[0].in_flight >= 0
        held = sum(x.is_open for _, x in requests)
        assert held == sum(row[0] for row in fleet.board.opens)
        assert held <= 2 * most
    for _ in range(3):
        fleet.turn()
        fleet.now_ns += 60 * S
        fleet.host.tick(fleet.now_ns)
        fleet.turn()
        assert fleet.gates[0].in_flight == sum(x.is_open for _, x in requests)
        for _, request in requests:
            if request.is_open:
                request.depart(fleet.now_ns, Outcome.COMPLETED, 200)
    fleet.turn()
    gate = fleet.gates[0]
    assert (gate.in_flight, gate.line_length) == (0, 0)
    assert all(x.n_ends == 1 for row, x in requests if x.lease is not None or x.n_ends)
    tables = (identities.tenants, identities.flows, identities.trees)
    assert not any(n for table in tables for n in table.n_open)
    assert fleet.host.n_faults == 0
    fleet.close()
