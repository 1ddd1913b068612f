"""Who is in the fleet, on a made-up time axis: states, ages, shares."""

from __future__ import annotations

from typing import Any

import pytest

from governor.fleet.fleet import state_of
from governor.fleet.members import GONE_NS, N_SHOWN, Members, divide
from tests.fleet.test_member import World

ME, LEADER, QUIET = b"11111111aa", b"22222222bb", b"33333333cc"
SERVER_MS = 10**12


def reply(*rows: list[Any]) -> list[Any]:
    """Return what the server says: rows of (who, ms to its lapse, in flight, waiting, demand)."""
    told = [[who, SERVER_MS + left, *values, 7] for who, left, *values in rows]
    return [SERVER_MS, LEADER, len(told), *told]


def look(world: World) -> tuple[Members, int]:
    """Return the members as governor 0 sees them after some exchanges, and its time."""
    world.pass_time(5)
    return Members(world.crew.members[0], ME), world.clock(0)


def test_each_has_its_state_and_its_age() -> None:
    """A row that lapses soon is old; who is missing is gone, and after a while not told of."""
    world = World(3, 12)
    members, now_ns = look(world)
    members.take(now_ns, reply([ME, 600, 1, 0, 1], [LEADER, 590, 5, 2, 7], [QUIET, 200, 3, 0, 3]))
    own, leader, quiet = members.describe(now_ns)
    assert (own["is_own"], own["who"], own["share"]) == (
        True,
        "governor-11111111",
        world.crew.members[0].share,
    )
    assert (leader["state"], leader["heard_s"], leader["in_flight"]) == ("leads", 0.01, 5)
    assert (quiet["state"], quiet["heard_s"], quiet["arrived"]) == ("silent", 0.4, 7)
    world.pass_time()
    now_ns = world.clock(0)
    members.take(now_ns, reply([ME, 600, 1, 0, 1], [LEADER, 600, 5, 2, 7]))
    assert [x["state"] for x in members.describe(now_ns)[1:]] == ["leads", "gone"]
    members.take(now_ns + GONE_NS, reply([ME, 600, 1, 0, 1]))
    assert len(members.describe(now_ns + GONE_NS)) == 2
    for n in range(3 * N_SHOWN):
        members.take(now_ns + n, reply([b"%08d" % n, 600, 0, 0, 0]))
    assert len(members.describe(now_ns)) <= 2 * N_SHOWN + 2


def test_an_old_view_knows_nothing_of_the_others() -> None:
    """Local only: this one is told live, the others as not known; rejoined, they are back."""
    world = World(2, 12)
    members, now_ns = look(world)
    member = world.crew.members[0]
    assert state_of(member, now_ns) == "up"
    members.take(now_ns, reply([ME, 600, 0, 0, 0], [LEADER, 600, 5, 2, 7]))
    world.pass_time(5, is_up=lambda idx: False)
    now_ns = world.clock(0)
    assert state_of(member, now_ns) == "local only"
    assert [x["state"] for x in members.describe(now_ns)] == ["alone", "not known"]
    world.pass_time()
    assert state_of(member, world.clock(0)) == "rejoining"
    world.pass_time(21)
    assert state_of(member, world.clock(0)) == "up"
    members.take(world.clock(0), reply([ME, 600, 0, 0, 0]))
    world.pass_time(5, is_up=lambda idx: False)
    assert [x["state"] for x in members.describe(world.clock(0))] == ["alone", "gone"]


def test_who_leaves_is_settled_without_a_view_that_was_lost() -> None:
    """Its places go to the others by a ramp, told as what it is."""
    world = World(2, 12)
    world.pass_time(30)
    world.pass_time(8, is_up=lambda idx: idx == 0)
    assert state_of(world.crew.members[0], world.clock(0)) == "settling"
    never = World(1, 12).crew.members[0]
    assert state_of(never, 0) == "not reached yet"
    assert Members(never, ME).describe(0)[0]["heard_s"] is None


def test_shares_are_what_the_rule_gives() -> None:
    """Who asks for little has it, the others have the rest; what nobody asks for is lent evenly."""
    world = World(3, 12)
    look(world)
    member = world.crew.members[0]
    assert divide({ME: 2, LEADER: 40, QUIET: 40}, member) == pytest.approx(
        {ME: 2 / 12, LEADER: 5 / 12, QUIET: 5 / 12}
    )
    assert sum(divide({ME: 0, LEADER: 0, QUIET: 0}, member).values()) == pytest.approx(1.0)
