"""Who is who: workers tell keys, the keeper keeps the tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from governor.config.agents import AgentMatch
from governor.core.identity import Identities
from governor.proxy.agents import AgentMatcher
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.peer import Peer
from governor.workers.board import KeeperWord
from governor.workers.host import Host
from governor.workers.keys import Keys, LatestRule
from tests.proxy.heads import head_of
from tests.workers.rig import Fleet, Request, arrival

SALT = b"s" * 32
PEER = ("10.0.0.1", 4711)


def read(reader: ArrivalReader, *fields: bytes) -> Any:
    """Return the arrival of a request with some header fields."""
    return reader.read(head_of(*fields), Peer(*PEER), 0)


def test_two_workers_of_one_salt_tell_the_same_keys() -> None:
    """And those lead to the places that one process would give."""
    fields = (b"Authorization: Bearer x", b"X-Claude-Code-Session-Id: abc")
    one, two = (read(ArrivalReader(Keys(), SALT), *fields) for _ in range(2))  # type: ignore[arg-type]
    identities = Identities(8, 8, 8)
    alone = read(ArrivalReader(identities, SALT), *fields)
    for name in ("tenant", "flow", "tree"):
        assert getattr(one, name) == getattr(two, name)
        table = getattr(identities, name + "s")
        assert table.find(getattr(one, name)) == getattr(alone, name) > 0


def test_the_configured_agent_of_a_call_travels_with_it() -> None:
    """A worker finds the rule by what is sent; the keeper gives it to the flow."""
    match = AgentMatch(header="x-governor-flow", value="planner")
    latest = LatestRule()
    matcher = AgentMatcher([match], SimpleNamespace(rule_of=b""))  # type: ignore[arg-type]
    matcher.rule_of = latest  # type: ignore[assignment]
    reader = ArrivalReader(Keys(), SALT, agents=matcher)  # type: ignore[arg-type]
    read(reader, b"X-Governor-Flow: planner")
    assert latest.number == 1
    read(reader, b"X-Governor-Flow: other")
    assert latest.number == 0


def test_the_keeper_gives_a_new_flow_its_rule_once() -> None:
    """What a flow was first is what it stays, as in one process."""
    fleet = Fleet(1)
    rules = [-1] * 8
    registry: Any = SimpleNamespace(rule_of=rules)
    fleet.host = Host(fleet.board, fleet.gates, fleet.identities, registry)
    fleet.board.keeper[KeeperWord.EPOCH] += 1
    fleet.turn()
    for number in (3, 5):
        fleet.links[0].latest_rule = lambda number=number: number  # type: ignore[method-assign, misc]
        Request(fleet.remote[0][0]).start(fleet.now_ns, arrival(4))
        fleet.turn()
    flow = fleet.identities.flows.find(2_004)
    assert rules[flow] == 3
    fleet.close()
