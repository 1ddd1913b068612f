"""Members and a board on a made-up time axis: one view, and what becomes of it when it is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from bench.fleet.board import Board
from bench.fleet.simulation import Crew, Weather, make_crew, run
from bench.limit.cells import Cell
from governor.core.arrival import Arrival
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Lease, LeaseState
from governor.core.others import StormWatch, Wave
from governor.core.spread import SpreadGate
from governor.fleet.member import RAMP_NS, Member, found_by
from policies.decision import Outcome
from policies.limit import FixedLimit
from policies.limit.shared import SharedLimit
from signals import SignalBank

MS = 1_000_000
TICK_NS = 100 * MS
START_NS = 10**12


class World:
    """Governors with a fixed limit for all, exchanging in turn; clocks seconds apart."""

    def __init__(self, n: int, limit: int) -> None:
        self.crew: Crew = make_crew(n, limit, 1, is_shared=True, limit="fixed")
        self.board = Board()
        self.now_ns = START_NS
        self.leases: list[list[Lease]] = [[] for _ in range(n)]

    def clock(self, idx: int) -> int:
        """Return governor ``idx``'s time: five seconds apart each."""
        return self.now_ns + idx * 5_000 * MS

    def pass_time(self, n_ticks: int = 1, is_up: Callable[[int], bool] = lambda idx: True) -> None:
        """Let everybody exchange that can, and tick."""
        for _ in range(n_ticks):
            self.now_ns += TICK_NS
            for idx, member in enumerate(self.crew.members):
                self.exchange(idx, member) if is_up(idx) else member.lose()
                member.tick(self.clock(idx))
                self.crew.gates[idx].tick(self.clock(idx))

    def exchange(self, idx: int, member: Member) -> None:
        """Exchange until the row is known."""
        for _ in range(2):
            reply = self.board.exchange(self.now_ns // 1000, str(idx), member.call(self.clock(idx)))
            if not member.take(self.clock(idx), self.clock(idx), reply):
                return
        raise AssertionError("a whole row is always taken")

    def demand(self, idx: int, n: int) -> None:
        """Send n calls to governor ``idx``."""
        gate: Gate = self.crew.gates[idx]
        for key in range(n):
            arrival = Arrival(flow=1 + key, tree=1 + key, is_identified=True)
            self.leases[idx].append(gate.arrive(self.clock(idx), arrival).lease)

    @property
    def limits(self) -> list[int]:
        """Everybody's places."""
        return [gate.limit for gate in self.crew.gates]


def test_places_follow_demand_and_are_never_more_than_there_are() -> None:
    """Idle, all have a third; whoever alone asks gets all but one each; then fair parts again."""
    world = World(3, 30)
    world.pass_time(2)
    assert sorted(world.limits) == [10, 10, 10]
    world.demand(0, 100)
    world.pass_time(3)
    assert world.limits == [30, 1, 1], "who asks for nothing keeps one place to begin with"
    world.demand(1, 100)
    world.demand(2, 4)
    world.pass_time(3)
    assert world.limits == [13, 13, 4]


def test_a_part_grows_only_after_its_demand_was_told() -> None:
    """When all ask in the same instant, nobody takes for a moment what the others are about to."""
    world = World(3, 30)
    world.pass_time(2)
    for idx in range(3):
        world.demand(idx, 100)
    for _ in range(5):
        world.pass_time()
        assert sum(world.limits) <= 30


def test_without_the_server_shares_stay_and_the_poor_get_an_equal_one() -> None:
    """Alone with knowledge: nobody loses its share, nobody starves, none takes the whole."""
    world = World(3, 30)
    world.demand(0, 100)
    world.pass_time(4)
    assert world.limits == [30, 1, 1]
    world.pass_time(1, is_up=lambda idx: False)
    assert world.limits == [30, 1, 1], "one lost exchange moves nothing"
    world.pass_time(40, is_up=lambda idx: False)
    assert world.limits[0] == 30
    assert all(9 <= x <= 11 for x in world.limits[1:])
    assert not any(x.is_fresh or x.is_leader for x in world.crew.members)
    assert world.crew.gates[1].others.n_governors == 3


def test_a_lost_server_that_has_forgotten_all_is_joined_by_a_ramp() -> None:
    """After a restart no share exceeds what a ramp allows until all are back."""
    world = World(3, 30)
    for idx in range(3):
        world.demand(idx, 100)
    world.pass_time(3)
    world.pass_time(5, is_up=lambda idx: False)
    world.board.wipe()
    for n in (1, 2):
        world.pass_time(n, is_up=lambda idx: idx == 0)
        grown = 3 * TICK_NS / RAMP_NS * 30
        assert world.limits[0] <= 10 + grown + 1, "alone in the new view, it takes its time"
    world.pass_time(3)
    assert all(x.is_fresh and x.n_governors == 3 for x in world.crew.members)
    assert world.limits == [10, 10, 10]


def test_who_is_cut_off_is_not_replaced_at_once() -> None:
    """Two of three go on: the third's row lapses, and its places are taken over by a ramp."""
    world = World(3, 30)
    for idx in range(3):
        world.demand(idx, 100)
    world.pass_time(3)
    seen = []
    for _ in range(40):
        world.pass_time(1, is_up=lambda idx: idx != 2)
        seen.append(sum(world.limits[:2]))
    assert seen[5] == 20
    assert seen[-1] == 30
    assert all(later - sooner <= 6 for sooner, later in itertools.pairwise(seen))
    assert world.limits[2] == 10


def test_who_joins_a_busy_fleet_waits_until_the_others_know() -> None:
    """A newcomer has one place for an exchange, then its part; the places are never exceeded."""
    world = World(3, 30)
    for idx in range(2):
        world.demand(idx, 100)
    world.pass_time(4, is_up=lambda idx: idx < 2)
    assert world.limits[:2] == [15, 15]
    world.demand(2, 100)
    world.pass_time()
    assert world.limits[2] == 1
    world.pass_time(2)
    assert world.limits == [10, 10, 10]


def test_each_endpoint_has_its_part_and_its_leader() -> None:
    """Two endpoints: what is in flight at each is summed by itself, and the share is of both."""
    board, members = Board(), []
    for idx in range(2):
        limits = [SharedLimit(FixedLimit(20)), SharedLimit(FixedLimit(10))]
        gate = SpreadGate("two", limits, SignalBank(64), Identities(2, 64, 64), reroute_seed=1)
        for key in range(40):
            gate.identities.flows.index(key + 1, 0)
            arrival = Arrival(flow=key + 1, tree=0, is_identified=True)
            gate.arrive(START_NS, arrival)
        members.append(Member(gate, TICK_NS))
        board.exchange(START_NS // 1000, str(idx), members[idx].call(START_NS))
        members[idx].lose()
    for turn in range(1, 4):
        now_ns = START_NS + turn * TICK_NS
        for idx, member in enumerate(members):
            member.take(
                now_ns, now_ns, board.exchange(now_ns // 1000, str(idx), member.call(now_ns))
            )
    assert [[x.limit for x in member.limits] for member in members] == [[10, 5], [10, 5]]
    for one, other in (members, members[::-1]):
        in_flight = [x.in_flight for x in other.gate.endpoints]
        assert [x.elsewhere for x in one.limits] == in_flight


def test_one_leads_and_another_takes_over() -> None:
    """There is one leader; when it is gone for good, there is one again."""
    world = World(3, 30)
    world.pass_time(3)
    leaders = [x.is_leader for x in world.crew.members]
    assert sum(leaders) == 1
    gone = leaders.index(True)
    world.pass_time(12, is_up=lambda idx: idx != gone)
    again = [x.is_leader for idx, x in enumerate(world.crew.members) if idx != gone]
    assert sum(again) == 1


def test_all_count_in_step_with_the_leader_until_the_view_is_old() -> None:
    """An exchange later at most each has the leader's phase open; alone again, its own."""
    world = World(3, 30)
    world.crew = make_crew(3, 30, 1, is_shared=True)
    limits = [member.limits[0] for member in world.crew.members]
    pools = [limit.pool for limit in limits if limit.pool is not None]
    for limit in limits:
        limit.inner.follow(20, 20.0, True)
    tags = []
    for turn in range(80):
        is_reached = turn < 50
        for idx, limit in enumerate(limits):
            for step in range(6):
                at_ns = world.clock(idx) + step * 15 * MS
                phase = limit.on_dispatch(at_ns, 7, True)
                limit.on_answer(at_ns + 90 * MS, phase, at_ns, 7, 7)
        world.pass_time(1, is_up=lambda idx, is_reached=is_reached: is_reached)
        tags.append([pool.tag for pool in pools])
    together = tags[10:50]
    assert max(max(x) for x in together) > min(min(x) for x in together) + 5
    assert all(max(later) - min(later) <= 1 for later in together)
    assert not any(pool.is_on for pool in pools)
    assert all(late > early + 2 for early, late in zip(tags[49], tags[-1], strict=True))


def test_invitations_elsewhere_count() -> None:
    """A governor places its slots behind those that the others have given."""
    world = World(2, 4)
    world.pass_time(2)
    for key in range(50):
        world.crew.gates[0].reservations.invite(world.clock(0), key, 10.0, 0.0)
    world.pass_time(2)
    assert world.crew.gates[1].others.invited == 50
    first_ns = world.crew.gates[1].reservations.invite(world.clock(1), 1, 10.0, 0.0)
    assert first_ns > 3_000 * MS


def call(world: World, idx: int, flow: int, outcome: Outcome, status: int) -> None:
    """Make one call of 90 ms through governor ``idx``."""
    gate, at_ns = world.crew.gates[idx], world.clock(idx)
    arrival = Arrival(flow=flow, tree=flow, fingerprint=flow, is_identified=True)
    lease = gate.arrive(at_ns, arrival).lease
    gate.depart(at_ns + 90 * MS, lease, outcome, status)


def test_a_storm_too_thin_for_any_one_is_seen_by_all() -> None:
    """Two callers fail at each of thirty governors: none alarms, all together do within 0.5 s."""
    n = 30
    world = World(n, n)
    world.pass_time(2)
    for step in range(60):
        for idx in range(n):
            if step % 5 == 0:
                call(world, idx, 99, Outcome.COMPLETED, 200)
        world.pass_time()
    assert not any(x.others.storm.is_on for x in world.crew.gates), "in calm nobody alarms"
    for flow in (1, 2):
        for idx in range(n):
            call(world, idx, flow, Outcome.FAILED, 500)
    for _ in range(5):
        world.pass_time()
        assert not any(x.signals.is_storm() for x in world.crew.gates)
    assert all(x.others.storm.is_on and x.outlook.is_storm for x in world.crew.gates)
    world.pass_time(8, is_up=lambda idx: False)
    assert not any(x.others.storm.is_on for x in world.crew.gates), "unknown is no alarm"


def test_an_alarm_asks_for_callers_returns_and_a_capacity() -> None:
    """Demand alone is no storm, nor is a wave where nothing is known to be exceeded."""
    wave = Wave((90.0,) * 8, (50.0,) * 8, 60.0, 0.0)
    for found, capacity_hz, is_storm in (
        (wave, 100.0, True),
        (wave, 0.0, False),
        (wave, 200.0, False),
        (wave._replace(returns=(10.0,) * 8), 100.0, False),
        (wave._replace(awaited=4.0), 100.0, False),
    ):
        watch = StormWatch()
        watch.judge(START_NS, found, capacity_hz)
        assert watch.is_on is is_storm


def test_the_limit_of_three_is_that_of_one() -> None:
    """On virtual time a herd through three governors is served as through one, at one's limit."""
    cell = Cell("herd", "slots", "lognormal 0.5", 32)
    one, _ = run(cell, 0, 1, is_shared=False)
    three, simulation = run(cell, 0, 3, weather=Weather(delay_s=0.02, loss=0.02))
    assert three["herd"]["goodput_hz"] > 0.95 * one["herd"]["goodput_hz"]
    assert three["herd"]["limit"] < 1.3 * one["herd"]["limit"]
    assert sum(x.is_leader for x in simulation.crew.members) == 1


def test_a_ceiling_that_one_has_found_is_everybodys() -> None:
    """A follower meets refusals: it obeys when all have told, the leader next, then all."""
    world = World(3, 30)
    world.crew = make_crew(3, 30, 1, is_shared=True)
    world.pass_time(3)
    members = world.crew.members
    idx = next(x for x, member in enumerate(members) if not member.is_leader)
    limit = members[idx].limits[0]
    for _ in range(4):
        limit.on_refused(world.clock(idx), 9)
    assert limit.total > 8
    world.pass_time(2)
    assert limit.total == 8
    world.pass_time(2)
    assert [x.limits[0].total for x in members] == [8, 8, 8]
    world.pass_time(10)
    assert [x.limits[0].total for x in members] == [8, 8, 8], "the leader keeps it"
    leader = next(x for x in members if x.is_leader)
    leader.limits[0].lift(world.now_ns + 60_000 * MS)
    world.pass_time(2)
    assert not any(found_by(x.limits[0]).ceiling for x in members), "and forgets it for all"


def test_what_is_kept_for_bursts_is_places_held_not_places_wished_for() -> None:
    """Once its line is gone, a governor's demand falls from its own places, a tenth at a time."""
    world = World(2, 20)
    world.demand(0, 200)
    world.demand(1, 200)
    world.pass_time(3)
    assert world.limits == [10, 10]
    gate = world.crew.gates[1]
    for lease in world.leases[1]:
        gate.leave(world.clock(1), lease)
        if lease.state is LeaseState.OPEN:
            gate.depart(world.clock(1), lease, Outcome.ORPHANED, 200)
    world.pass_time(8)
    assert world.limits[1] <= 5
    assert world.limits[0] >= 15


def test_of_a_crowd_each_lets_pass_its_part_as_if_unmarked() -> None:
    """What is nobody's crowd before one governor is shared by three."""
    world = World(3, 30)
    alone = world.crew.gates[0].shaping.herd.bound
    world.pass_time(3)
    bounds = [x.shaping.herd.bound for x in world.crew.gates]
    assert all(bound < alone for bound in bounds)
    assert alone <= sum(bounds) < alone + 3


def test_offsets_cut_the_parts_of_all_ranks_to_the_whole() -> None:
    """Each governor's offset follows from its rank; alone it is nought."""
    world = World(3, 30)
    assert [x.others.offset for x in world.crew.gates] == [0.0, 0.0, 0.0]
    world.pass_time(3)
    assert sorted(x.others.offset for x in world.crew.gates) == [0.0, 1 / 3, 2 / 3]
