"""The scale tier: books that close, one seed one run, the exact tier's figures on a small case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.density import density
from bench.simulate import state
from bench.simulate.exact import Peer, play
from bench.simulate.scale import Fleet, make_world
from bench.simulate.scale import play as play_scaled
from signals.kernel import IS_COMPILED

N_SLOTS = 8 if IS_COMPILED else 2
SMALL = Fleet(n_agents=88 * N_SLOTS, n_slots=N_SLOTS, seconds=6.0, drain_s=2.0)


@pytest.mark.parametrize(
    "fleet",
    [
        SMALL,
        replace(SMALL, governed_share=0.0),
        replace(SMALL, governed_share=0.5, n_upstreams=2, n_slots=N_SLOTS // 2, is_roaming=True),
        replace(SMALL, n_views=4, delay_s=0.2, loss=0.2, cut_s=(2.0, 4.0), cut_share=0.5),
        replace(SMALL, n_views=4, delay_s=0.2, law="sum"),
    ],
    ids=["governed", "direct", "half, roaming", "shared", "shared, sum"],
)
def test_every_task_ends_once(fleet: Fleet) -> None:
    """Begun is done, given up or open; what was sent is answered, refused, left or open."""
    outcome = play_scaled(fleet)
    counts = outcome.counts
    ended = counts[state.DONE] + counts[state.FAILED]
    assert counts[state.TASKS] == ended + outcome.n_open
    assert counts[state.ATTEMPTS] >= counts[state.TASKS] > 0
    outcomes = counts[state.DONE] + counts[state.TIMEOUTS] + counts[state.REFUSALS]
    assert 0 <= counts[state.ATTEMPTS] - outcomes <= outcome.n_open
    assert outcome.timeline[state.DONE_EACH].sum() == counts[state.DONE]
    assert outcome.timeline[state.BUSY_S].sum() >= outcome.timeline[state.WASTED_S].sum()


def test_a_calm_fleet_is_let_alone() -> None:
    """Far below the capacity nothing is refused, wasted or repeated, behind four governors too."""
    outcome = play_scaled(replace(SMALL, n_agents=60, n_slots=40, n_views=4))
    assert outcome.counts[state.REFUSALS] == outcome.counts[state.TIMEOUTS] == 0
    assert outcome.attempts_per_task == 1.0
    assert outcome.waste_ratio == 0.0


def test_the_same_seed_gives_the_same_run() -> None:
    """To the last count; another seed does not."""
    first, again, other = (play_scaled(SMALL, seed).counts.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.skipif(not IS_COMPILED, reason="minutes without the compiler")
@pytest.mark.parametrize(("peer", "share"), [("governor", 1.0), ("direct", 0.0)])
def test_the_tiers_agree_on_a_small_case(peer: Peer, share: float) -> None:
    """3,000 agents before 40 slots: goodput within 10 %, attempts within 10 %, waste 3 points."""
    seconds, drain_s = 7.0, 2.0
    scenario = replace(density(3_000), seconds=seconds, drain_s=drain_s)
    exact = play(scenario, peer, 1).quantities
    fleet = Fleet(n_agents=3_000, governed_share=share, seconds=seconds, drain_s=drain_s)
    runs = [play_scaled(fleet, seed) for seed in range(1, 6)]
    n = len(runs)
    assert sum(x.attempts_per_task for x in runs) / n == pytest.approx(
        exact["attempts_per_task"], rel=0.10
    )
    assert sum(x.waste_ratio for x in runs) / n == pytest.approx(exact["waste_ratio"], abs=0.03)
    goodput_hz = sum(x.goodput_between_hz(0.0, seconds) for x in runs) / n
    assert goodput_hz == pytest.approx(exact["goodput_hz"], rel=0.10)


def test_agents_are_spread_evenly() -> None:
    """Over services first, then over the governors before each; so are those not governed."""
    fleet = Fleet(n_agents=240, n_upstreams=4, n_views=3, governed_share=0.5)
    agents = make_world(fleet, 1)[0][: fleet.n_agents]
    per_cell = [int((agents["cell"] == cell).sum()) for cell in range(fleet.n_cells)]
    assert set(per_cell) == {20}
    assert int(agents["is_governed"].sum()) == 120
    assert (agents["upstream"] == agents["cell"] // 3).all()


def test_what_cannot_be_is_refused() -> None:
    """A fleet too large for memory, or a law that nobody knows, names itself."""
    with pytest.raises(ValueError, match="nodes"):
        Fleet(n_agents=100_000_000)
    with pytest.raises(ValueError, match="law"):
        Fleet(n_agents=1, law="magic")


def test_density_is_the_socket_benchmarks() -> None:
    """The defaults are those of ``bench density``: capacity, load at 2,500 agents."""
    assert Fleet(n_agents=2_500).capacity_hz == pytest.approx(400.0)
    assert Fleet(n_agents=2_500).load == pytest.approx(1.52, abs=0.01)
